package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel is the network as the kernel has it, by rtnetlink(7) and nothing else.
type kernel struct{ h *netlink.Handle }

func openKernel() (*kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return &kernel{h}, nil
}

// up switches a link on.
func (k *kernel) up(name string) error {
	l, err := k.h.LinkByName(name)
	if err == nil {
		err = k.h.LinkSetUp(l)
	}
	if err != nil {
		return fmt.Errorf("bring up %s: %w", name, err)
	}
	return nil
}

// hardware tells whether a link is a network card's: virtual ones (bridge,
// veth, overlay) carry a kind and belong to the components that made them.
func hardware(l netlink.Link) bool {
	a := l.Attrs()
	return l.Type() == "device" && a.EncapType == "ether" && a.Flags&net.FlagLoopback == 0 && len(a.HardwareAddr) == 6
}

// cards waits until there is a network card and answers the names of all that
// are there then. It says so once if none comes for a while.
func (k *kernel) cards(ctx context.Context, complain func(format string, a ...any)) ([]string, error) {
	done := make(chan struct{})
	defer close(done)
	news := make(chan netlink.LinkUpdate, 16)
	if err := netlink.LinkSubscribeWithOptions(news, done, netlink.LinkSubscribeOptions{}); err != nil {
		return nil, fmt.Errorf("watch network links: %w", err)
	}
	late := time.After(10 * time.Second)
	for {
		names, err := k.cardsNow()
		if err != nil || len(names) > 0 {
			return names, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case _, ok := <-news:
			if !ok {
				return nil, errors.New("watch network links: the kernel closed the watch")
			}
		case <-late:
			complain("no network card after 10 s: is its driver in /lib/modules/load?")
		}
	}
}

func (k *kernel) cardsNow() ([]string, error) {
	links, err := k.h.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list network links: %w", err)
	}
	var names []string
	for _, l := range links {
		if hardware(l) {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// apply gives a link the lease's address, for as long as the lease lasts, and
// the default route; IPv4 addresses of earlier leases go.
func (k *kernel) apply(ifname string, l *lease) (net.HardwareAddr, error) {
	link, err := k.h.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("set address of %s: %w", ifname, err)
	}
	secs := max(int(time.Until(l.end).Seconds()), 1)
	a := &netlink.Addr{IPNet: &l.addr, ValidLft: secs, PreferedLft: secs}
	if err := k.h.AddrReplace(link, a); err != nil {
		return nil, fmt.Errorf("set address %s of %s: %w", &l.addr, ifname, err)
	}
	if err := k.dropOthers(link, l.addr.IP); err != nil {
		return nil, err
	}
	if len(l.routes) > 0 {
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: l.routes[0], Protocol: unix.RTPROT_DHCP}
		if err := k.h.RouteReplace(r); err != nil {
			return nil, fmt.Errorf("set default route by %s on %s: %w", l.routes[0], ifname, err)
		}
	}
	return link.Attrs().HardwareAddr, nil
}

// drop takes a link's IPv4 addresses, and the routes that hang on them, away.
func (k *kernel) drop(ifname string) error {
	link, err := k.h.LinkByName(ifname)
	if err != nil {
		return fmt.Errorf("clear %s: %w", ifname, err)
	}
	return k.dropOthers(link, nil)
}

func (k *kernel) dropOthers(link netlink.Link, keep net.IP) error {
	addrs, err := k.h.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range addrs {
		if a.IP.Equal(keep) {
			continue
		}
		if err := k.h.AddrDel(link, &a); err != nil {
			return fmt.Errorf("remove address %s of %s: %w", a.IPNet, link.Attrs().Name, err)
		}
	}
	return nil
}
