// Package netns makes a named network namespace as `ip netns` does, with a tap
// in it, and runs functions and processes inside.
//
// A thread that has entered a namespace is never used for anything else again:
// Do runs its function on a locked goroutine that ends with its thread. What is
// opened inside (sockets, taps) may be used anywhere afterwards.
//
// States: made by Create or found by Open, gone after Remove. No goroutine
// outlives a call.
package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dir is where `ip netns` looks for names.
const dir = "/run/netns"

// Space is a named network namespace.
type Space struct{ Name string }

// Create makes the namespace, with its loopback up. A name that is taken is an
// error: Remove it first.
func Create(name string) (*Space, error) {
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		return nil, fmt.Errorf("make network namespace %s: the name is taken (remove it with `ip netns del %s`)", name, name)
	}
	err := onThread(func() error {
		h, err := vnetns.NewNamed(name) // this thread is inside from here on
		if err != nil {
			return err
		}
		defer h.Close()
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make network namespace %s: %w", name, err), Remove(name))
	}
	return &Space{Name: name}, nil
}

// Remove takes the name away; the namespace itself ends with the last process
// and socket in it. A name that is not there is fine.
func Remove(name string) error {
	path := filepath.Join(dir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove network namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove network namespace %s: %w", name, err)
	}
	return nil
}

// Do calls f on a thread inside the namespace. f must not start goroutines that
// need to be inside as well.
func (s *Space) Do(f func() error) error {
	return onThread(func() error {
		if err := s.Enter(); err != nil {
			return err
		}
		return f()
	})
}

// Enter moves the calling thread into the namespace. The caller has locked its
// goroutine to it and lets both end together.
func (s *Space) Enter() error {
	fd, err := unix.Open(filepath.Join(dir, s.Name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("enter network namespace %s: %w", s.Name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", s.Name, err)
	}
	return nil
}

// Dial connects from inside the namespace; address is a literal IP and a port.
func (s *Space) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := s.Do(func() (err error) {
		// one literal address: the socket is made by this goroutine
		c, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Tap makes a tap device inside, up, with an address; its file carries one
// Ethernet frame per read and write. The device goes with its file.
func (s *Space) Tap(name string, addr netip.Prefix) (*os.File, error) {
	var f *os.File
	err := s.Do(func() (err error) {
		if f, err = openTap(name); err != nil {
			return err
		}
		return bringUp(name, addr)
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, fmt.Errorf("make tap %s in %s: %w", name, s.Name, err)
	}
	return f, nil
}

// openTap attaches to a new tap device of the thread's namespace. The file goes
// to the runtime's poller only once it is a tap: before that, epoll sees an error.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("attach to tap: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// bringUp gives a link of the thread's namespace an address and raises it. Its
// IPv6 link-local address is usable at once, without duplicate address
// detection: router solicitations come in the first seconds.
func bringUp(name string, addr netip.Prefix) error {
	for _, knob := range []string{"accept_dad", "dad_transmits", "accept_ra", "router_solicitations"} {
		// absent on a kernel without IPv6, which is fine: nothing asks then
		_ = os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, knob), []byte("0"), 0o644)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	ip := &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("address %s: %w", addr, err)
	}
	return netlink.LinkSetUp(link)
}

// onThread runs f on a thread of its own that ends afterwards: a goroutine that
// exits locked takes its thread with it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}
