// Package serve is a component's listening life: the socket that init hands
// over (or one of its own), readiness, idling out, and a clean end.
//
// A component started by socket activation ends by itself once no connection
// has been open for Options.Idle; init keeps the socket and starts it again for
// the next caller. Protocol: sd_listen_fds(3), sd_notify(3).
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Options says where and how to listen.
type Options struct {
	Listen string        // address to listen on when init hands over no socket
	TLS    *tls.Config   // nil: plain, only right for unix sockets and boot files
	Idle   time.Duration // end after so long without a connection; only with a socket from init; 0: never
}

// Listener returns the first socket that init handed over, or listens itself.
// The second result tells which.
func Listener(address string) (net.Listener, bool, error) {
	pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID"))
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if n > 0 && (pid == os.Getpid() || pid == 0) {
		const firstFD = 3
		syscall.CloseOnExec(firstFD)
		f := os.NewFile(firstFD, "socket from init")
		l, err := net.FileListener(f)
		f.Close() // FileListener holds a copy
		if err != nil {
			return nil, true, fmt.Errorf("use socket from init: %w", err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		return l, true, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, false, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, false, nil
}

// HTTP serves h until ctx ends or the component has idled out; both are nil.
func HTTP(ctx context.Context, o Options, h http.Handler) error {
	l, handed, err := Listener(o.Listen)
	if err != nil {
		return err
	}
	return On(ctx, l, handed, o, h)
}

// On is HTTP on a listener that the caller has opened.
func On(ctx context.Context, l net.Listener, handed bool, o Options, h http.Handler) error {
	if o.TLS != nil {
		cfg := o.TLS.Clone()
		cfg.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, cfg)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	if handed && o.Idle > 0 {
		w := &idle{after: o.Idle, stop: stop, open: map[net.Conn]bool{}}
		w.timer = time.AfterFunc(o.Idle, stop)
		defer w.timer.Stop()
		srv.ConnState = w.note
		if o.Idle < srv.IdleTimeout {
			srv.IdleTimeout = o.Idle
		}
	}
	Notify("READY=1")
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	Notify("STOPPING=1")
	grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		srv.Close() // streams: their callers reconnect
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// idle ends the component when no connection has been open for a while.
type idle struct {
	after time.Duration
	stop  func()
	timer *time.Timer

	mu   sync.Mutex // guards open
	open map[net.Conn]bool
}

func (w *idle) note(c net.Conn, s http.ConnState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s {
	case http.StateNew, http.StateActive:
		w.open[c] = true
		w.timer.Stop()
	case http.StateIdle, http.StateClosed, http.StateHijacked:
		// A kept-alive connection without a request does not hold the component.
		if s != http.StateHijacked {
			delete(w.open, c)
		}
		if len(w.open) == 0 {
			w.timer.Reset(w.after)
		}
	}
}

// Notify tells init something, as sd_notify(3); without NOTIFY_SOCKET it does
// nothing.
func Notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.Dial("unixgram", path)
	if err != nil {
		return // init is restarting: it asks no one to fail for that
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
