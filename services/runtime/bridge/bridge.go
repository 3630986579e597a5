// Package bridge gives tasks in bridge networking a network namespace, an
// address behind the node, and ports of the node: netlink and nftables
// directly, no program is executed (CNI's plugins need nft or iptables, which a
// node without userland lacks).
//
// It owns the bridge ingot0 (172.31.254.1/24), the nftables table "ingot", the
// folder of leases and the folder of named namespaces. It refuses IPv6 and
// networks that span nodes.
//
// A lease is one file, written before anything is made; the rules in the kernel
// are always rendered anew from all leases, so a crash between two steps is
// mended by the next Attach, Detach or Setup. Methods are safe for many
// goroutines; there are no goroutines of its own.
package bridge

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

// Name of the bridge, and its network; .1 is the node.
const Name = "ingot0"

// Subnet holds the addresses of all tasks of a node. It never leaves the node.
var Subnet = netip.MustParsePrefix("172.31.254.0/24")

// Network is the bridge of a node.
type Network struct {
	Leases string // folder of leases; must not outlive a reboot, as namespaces don't
	Netns  string // folder of named network namespaces

	mu sync.Mutex // one change at a time in this process; lock says how between processes
}

// Lease is what a task has of the network.
type Lease struct {
	ID    string          `json:"id"`
	IP    netip.Addr      `json:"ip"`
	Ports []api.AllocPort `json:"ports,omitempty"`
}

// NetnsPath is where a task's namespace is bound.
func (n *Network) NetnsPath(id string) string { return filepath.Join(n.Netns, id) }

// Setup makes the bridge, lets the node forward, and renders the rules.
func (n *Network) Setup() error {
	unlock, err := n.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return n.setup()
}

func (n *Network) setup() error {
	for _, d := range []string{n.Leases, n.Netns} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make folder of networks: %w", err)
		}
	}
	if err := ensureBridge(); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("let the node forward: %w", err)
	}
	return n.render()
}

// Attach gives a task its namespace, address and ports; for a task that has
// them already it changes nothing.
func (n *Network) Attach(id string, ports []api.AllocPort) (Lease, error) {
	unlock, err := n.lock()
	if err != nil {
		return Lease{}, err
	}
	defer unlock()
	if err := n.setup(); err != nil {
		return Lease{}, err
	}
	l, err := n.lease(id, ports)
	if err != nil {
		return Lease{}, err
	}
	if err := n.wire(l); err != nil {
		return Lease{}, fmt.Errorf("connect %s to %s: %w", id, Name, err)
	}
	return l, n.render()
}

// Detach takes everything back; a task without a network is no error.
func (n *Network) Detach(id string) error {
	unlock, err := n.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return n.detach(id)
}

func (n *Network) detach(id string) error {
	had := n.drop(id)
	if err := removeLink(hostEnd(id)); err != nil {
		return err
	}
	if err := removeNetns(n.NetnsPath(id)); err != nil || !had {
		return err
	}
	return n.render()
}

// Sweep detaches every task that keep does not name and says which. It leaves
// alone what is younger than age: a task gets its network before its container.
func (n *Network) Sweep(age time.Duration, keep func(id string) bool) ([]string, error) {
	unlock, err := n.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	ids, err := names(n.Netns, n.Leases)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, id := range ids {
		if keep(id) || n.younger(id, age) {
			continue
		}
		if err := n.detach(id); err != nil {
			return gone, err
		}
		gone = append(gone, id)
	}
	return gone, nil
}

func (n *Network) younger(id string, age time.Duration) bool {
	st, err := os.Stat(filepath.Join(n.Leases, id))
	return err == nil && time.Since(st.ModTime()) < age
}

// lock keeps other goroutines and, by flock, other processes out: the agent and
// the garbage collector both render the rules.
func (n *Network) lock() (func(), error) {
	if err := os.MkdirAll(filepath.Dir(n.Leases), 0o755); err != nil {
		return nil, fmt.Errorf("lock network: %w", err)
	}
	n.mu.Lock()
	f, err := os.OpenFile(n.Leases+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
		}
	}
	if err != nil {
		n.mu.Unlock()
		return nil, fmt.Errorf("lock network: %w", err)
	}
	return func() { f.Close(); n.mu.Unlock() }, nil
}

func names(dirs ...string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	for _, d := range dirs {
		entries, err := os.ReadDir(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list networks: %w", err)
		}
		for _, e := range entries {
			if id := e.Name(); !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func ensureBridge() error {
	link, err := netlink.LinkByName(Name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = Name
		link = &netlink.Bridge{LinkAttrs: attrs}
		err = netlink.LinkAdd(link)
	}
	if err != nil {
		return fmt.Errorf("make bridge %s: %w", Name, err)
	}
	addr := &netlink.Addr{IPNet: ipNet(gateway())}
	if err := netlink.AddrAdd(link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("give %s its address: %w", Name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", Name, err)
	}
	return nil
}

func gateway() netip.Addr { return Subnet.Masked().Addr().Next() }

func ipNet(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(Subnet.Bits(), 32)}
}
