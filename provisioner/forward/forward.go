// Package forward carries TCP connections from a listening socket to an
// address: the way into a network namespace for a socket that was opened
// outside of it and handed to this process.
//
// Goroutines: two per connection, owned by Serve, which returns when its
// context ends and they have.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/ingot-os/ingot/provisioner/listen"
)

// Forward says what leads where.
type Forward struct {
	FD     int            `json:"fd,omitempty"`    // inherited listening socket, or
	Listen netip.AddrPort `json:"listen,omitzero"` // address to listen on
	To     netip.AddrPort `json:"to"`
}

// Validate checks a forward.
func (f Forward) Validate() error {
	if !f.To.IsValid() {
		return errors.New("forward: \"to\" is missing")
	}
	if (f.FD == 0) == !f.Listen.IsValid() {
		return fmt.Errorf("forward to %s: give either \"fd\" or \"listen\"", f.To)
	}
	if f.FD != 0 && f.FD < 3 {
		return fmt.Errorf("forward to %s: fd %d is standard input or output", f.To, f.FD)
	}
	return nil
}

// Open returns the listener.
func (f Forward) Open(ctx context.Context) (net.Listener, error) {
	if f.FD == 0 {
		return listen.TCP(ctx, f.Listen)
	}
	file := os.NewFile(uintptr(f.FD), "forward")
	defer file.Close() // FileListener holds a copy
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("use fd %d as a listening socket: %w", f.FD, err)
	}
	return l, nil
}

const dialTime = 5 * time.Second

// Serve carries connections until ctx ends, then closes l and all of them.
func Serve(ctx context.Context, l net.Listener, to netip.AddrPort, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept for %s: %w", to, err)
		case err != nil: // out of file descriptors, or the caller is gone
			log.Warn("accept", "to", to, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		wg.Go(func() { carry(ctx, c, to, log) })
	}
}

func carry(ctx context.Context, in net.Conn, to netip.AddrPort, log *slog.Logger) {
	defer in.Close()
	d := net.Dialer{Timeout: dialTime}
	out, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		log.Info("forward", "to", to, "error", err) // the caller sees a closed connection
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { pump(out, in) })
	pump(in, out)
	wg.Wait()
}

// pump copies one direction and passes its end on.
func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either end may break off: both see it
	if t, ok := to.(interface{ CloseWrite() error }); ok {
		_ = t.CloseWrite()
	}
}
