package forward

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestServe(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	l, err := Forward{Listen: netip.MustParseAddrPort("127.0.0.1:0")}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, l, netip.MustParseAddrPort(echo.Addr().String()), slog.New(slog.DiscardHandler))
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "over there"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil { // our end passes through
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "over there" {
		t.Errorf("got %q, %v", b, err)
	}
	open, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	cancel() // must end connections that are open
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Serve goes on")
	}
}

func TestValidate(t *testing.T) {
	to := netip.MustParseAddrPort("10.0.0.1:443")
	for want, f := range map[string]Forward{
		"\"to\" is missing": {FD: 3},
		"give either":       {To: to},
		"standard input":    {FD: 1, To: to},
	} {
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}
