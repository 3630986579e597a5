package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside is set in the test process that runs in namespaces of its own: what it
// mounts, connects and leaves running ends with it.
const inside = "INGOT_TEST_INSIDE"

// nodeAddress is the address of the test's "node" on its own network.
const nodeAddress = "10.9.9.1"

func TestMain(m *testing.M) {
	switch {
	case os.Geteuid() != 0:
		os.Exit(m.Run()) // what needs root skips
	case os.Getenv(inside) == "":
		os.Exit(again())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare namespaces:", err)
		os.Exit(1)
	}
	code := m.Run()
	for _, dir := range []string{shimCgroup, taskCgroup} {
		_ = os.Remove(cgroupRoot + dir) // the host's hierarchy; not there if nothing ran
	}
	os.Exit(code)
}

func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run tests in namespaces:", err)
		return 1
	}
	return 0
}

// furnish makes the namespaces look like a node: private mounts, the unified
// cgroup hierarchy, an empty /run, an address.
func furnish() error {
	steps := []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "") },
		func() error { return unix.Mount("proc", "/proc", "proc", 0, "") },
		func() error { return unix.Mount("tmpfs", "/run", "tmpfs", 0, "") },
		func() error { return unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH) },
		func() error { return unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, "") },
		func() error { return unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, "") },
		address,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func address() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(nodeAddress + "/32")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(lo, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
