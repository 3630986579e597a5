package bridge

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// hostEnd names the node's end of a task's cable; interface names have at most
// 15 characters.
func hostEnd(id string) string {
	return fmt.Sprintf("ig%x", sha256.Sum256([]byte(id)))[:12]
}

// wire makes the namespace and the cable of a lease, where they are missing.
func (n *Network) wire(l Lease) error {
	path := n.NetnsPath(l.ID)
	ns, err := netns.GetFromPath(path)
	if err == nil && !isNetns(path) {
		ns.Close()
		err = fs.ErrNotExist // the file is there, the mount is not: left by a crash
	}
	if err != nil {
		if err := makeNetns(path); err != nil {
			return err
		}
		if ns, err = netns.GetFromPath(path); err != nil {
			return fmt.Errorf("open namespace: %w", err)
		}
	}
	defer ns.Close()
	// XFRM may be missing from the kernel: ask for routing only.
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	defer h.Close()
	if _, err := h.LinkByName("eth0"); err == nil {
		return nil
	}
	if err := cable(l, ns); err != nil {
		return err
	}
	return address(h, l)
}

// cable makes a veth pair: one end in the bridge, the other as the task's eth0.
func cable(l Lease, ns netns.NsHandle) error {
	br, err := netlink.LinkByName(Name)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	if err := removeLink(hostEnd(l.ID)); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = hostEnd(l.ID), br.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make cable: %w", err)
	}
	// A task may call its own port on the node's address: its packets come back
	// through the port of the bridge that they went in by.
	if err := netlink.LinkSetHairpin(veth, true); err != nil {
		return fmt.Errorf("let the cable's packets return: %w", err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("set cable up: %w", err)
	}
	return nil
}

func address(h *netlink.Handle, l Lease) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s of the task: %w", name, err)
		}
		if name == "eth0" {
			if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(l.IP)}); err != nil {
				return fmt.Errorf("give the task %s: %w", l.IP, err)
			}
		}
		if err := h.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s of the task up: %w", name, err)
		}
	}
	if err := h.RouteAdd(&netlink.Route{Gw: net.IP(gateway().AsSlice())}); err != nil {
		return fmt.Errorf("give the task a way out: %w", err)
	}
	return nil
}

// makeNetns makes a namespace that lives as long as its bind mount. The thread
// that made it is spoilt: its goroutine ends locked, and so does the thread.
func makeNetns(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("make namespace: %w", err)
	}
	f.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make namespace: %w", err)
			return
		}
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(self, path, "", unix.MS_BIND, ""); err != nil {
			done <- fmt.Errorf("keep namespace at %s: %w", path, err)
			return
		}
		done <- nil
	}()
	return <-done
}

func isNetns(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

func removeNetns(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("let go of namespace %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove namespace: %w", err)
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	// The kernel removes the cable of a dead namespace by itself, meanwhile.
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove cable %s: %w", name, err)
	}
	return nil
}
