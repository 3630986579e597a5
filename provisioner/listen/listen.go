// Package listen opens the provisioner's sockets and turns the kernel's errno
// into one line that says which port, who may hold it and what to do.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// UDP opens a UDP socket on a port of one interface (every interface when it
// is empty), allowed to broadcast.
func UDP(ctx context.Context, device string, at netip.AddrPort) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
				return err
			}
			return bindTo(fd, device)
		})
	}}
	c, err := lc.ListenPacket(ctx, "udp4", at.String())
	if err != nil {
		return nil, explain("udp", device, at, err)
	}
	return c.(*net.UDPConn), nil
}

// TCP listens on an address.
func TCP(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", at.String())
	if err != nil {
		return nil, explain("tcp", "", at, err)
	}
	return l, nil
}

// Device ties a raw socket to an interface; a Control function of ListenConfig.
func Device(device string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error { return bindTo(fd, device) })
	}
}

func bindTo(fd int, device string) error {
	if device == "" {
		return nil
	}
	return unix.BindToDevice(fd, device)
}

func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func explain(proto, device string, at netip.AddrPort, err error) error {
	where := at.Addr().String()
	if device != "" {
		where = device
	}
	port := at.Port()
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		flag := map[string]string{"udp": "u", "tcp": "t"}[proto]
		return fmt.Errorf("listen on %s port %d of %s: already taken; find the holder with `ss -l%snp 'sport = :%d'` and stop it", proto, port, where, flag, port)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("listen on %s port %d of %s: not allowed; run as root", proto, port, where)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("listen on %s port %d: there is no interface %q; `ip link` lists them", proto, port, device)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s port %d: address %s is on no interface here; `ip addr` lists them", proto, port, at.Addr())
	}
	return fmt.Errorf("listen on %s port %d of %s: %w", proto, port, where, err)
}
