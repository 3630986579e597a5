// Package stageone is the first program of a machine: /init of the initramfs.
// It turns the root image that travelled inside the initramfs into the root
// file system and becomes its /sbin/initd.
//
// Order: devtmpfs, proc, sysfs; is the memory enough; did all of the image
// arrive; kernel modules of /m in order of their names; the image mounted by
// EROFS straight from the file (Debian 13's kernel, rootfstype=ramfs); the files
// of the initramfs removed; switch of root; exec. It starts no goroutines and
// writes nothing to any disk. What stops it is printed in one line on the
// console and sent as a "problem" event; the machine powers off after a pause.
package stageone

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/event"
)

// Image is where the root image lies in the initramfs.
const Image = "/root.img"

// EnvInit carries the time at which stage one's main ran to the root's initd,
// in microseconds of CLOCK_BOOTTIME.
const EnvInit = "INGOT_INIT_US"

// EnvImage carries the SHA-256 of the root image, hex, as the builder wrote it
// into the same initramfs.
const EnvImage = "INGOT_IMAGE"

const (
	sizeFile    = "/root.size"
	digestFile  = "/root.sha256"
	newRoot     = "/new"
	needMiB     = 256
	minTotalKiB = 200 * 1024 // what MemTotal shows at least on a machine of 256 MiB
	pause       = 5 * time.Second
)

// Needed tells whether this process has to run stage one: it is the first of
// the machine, and the root is the initramfs, whole or cut short.
func Needed() bool {
	_, err := os.Stat("/init")
	return os.Getpid() == 1 && err == nil
}

// Run does not return.
func Run() {
	started := event.BootTime()
	err := run(started)
	fmt.Fprintf(os.Stderr, "\ningot: cannot start: %v; powering off\n", err)
	_ = event.Write(api.BootEvent{Event: "problem", Text: err.Error()}) // the console has it
	time.Sleep(pause)                                                   // a person reads, the serial line drains
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	os.Exit(1) // the kernel reboots: panic=-1
}

func run(started time.Duration) error {
	if err := mounts(); err != nil {
		return err
	}
	if err := checkMemory(); err != nil {
		return err
	}
	if err := checkImage(); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := unix.Mount(Image, newRoot, "erofs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount the root image: %w", err)
	}
	digest, _ := os.ReadFile(digestFile) // an older builder wrote none: the node then names no image
	removeInitramfs()
	if err := switchRoot(); err != nil {
		return err
	}
	env := append(os.Environ(), fmt.Sprintf("%s=%d", EnvInit, started.Microseconds()), EnvImage+"="+strings.TrimSpace(string(digest)))
	return fmt.Errorf("exec /sbin/initd: %w", unix.Exec("/sbin/initd", []string{"initd"}, env))
}

var kernelMounts = []struct{ source, target, kind string }{
	{"devtmpfs", "/dev", "devtmpfs"},
	{"proc", "/proc", "proc"},
	{"sysfs", "/sys", "sysfs"},
}

func mounts() error {
	for _, m := range kernelMounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", m.target, err)
		}
		err := unix.Mount(m.source, m.target, m.kind, unix.MS_NOSUID, "")
		if err != nil && !errors.Is(err, unix.EBUSY) { // CONFIG_DEVTMPFS_MOUNT
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

func checkMemory() error {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fmt.Errorf("read memory size: %w", err)
	}
	return enoughMemory(text)
}

func enoughMemory(meminfo []byte) error {
	kib := 0
	for line := range bytes.Lines(meminfo) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[0] == "MemTotal:" {
			kib, _ = strconv.Atoi(f[1])
		}
	}
	if kib < minTotalKiB {
		return fmt.Errorf("this machine has %d MiB, Ingot needs %d MiB", kib/1024, needMiB)
	}
	return nil
}

// checkImage compares the image with the size that lies before it in the
// initramfs: a download cut short ends the archive early, and the kernel unpacks
// what it got.
func checkImage() error {
	text, err := os.ReadFile(sizeFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("boot image truncated: not even %s arrived; check the boot server and power-cycle", sizeFile)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", sizeFile, err)
	}
	want, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return fmt.Errorf("read %s: %q is not a size", sizeFile, text)
	}
	var st unix.Stat_t
	if err := unix.Stat(Image, &st); err != nil {
		st = unix.Stat_t{} // nothing of it arrived
	}
	return whole(arrived(st.Size, st.Blocks), want)
}

// arrived is how much of a file was unpacked. The kernel sets a file's size from
// its header before the content comes, so what counts is what has been written:
// ramfs shows its pages as blocks of 512 bytes.
func arrived(size, blocks int64) int64 { return min(size, blocks*512) }

func whole(got, want int64) error {
	if got != want {
		return fmt.Errorf("boot image truncated: %d of %d bytes arrived; check the boot server and power-cycle", got, want)
	}
	return nil
}

func loadModules() error {
	files, err := filepath.Glob("/m/*.ko") // sorted by name
	if err != nil {
		return fmt.Errorf("list modules: %w", err)
	}
	for _, f := range files {
		if err := loadModule(f); err != nil {
			return fmt.Errorf("load module %s: %w", f, err)
		}
	}
	return nil
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) { // built in, or loaded already
		return nil
	}
	return err
}

// removeInitramfs gives memory back; the mounted image stays until its last
// user is gone. What cannot be removed only costs memory.
func removeInitramfs() {
	for _, p := range []string{"/m", Image, sizeFile, digestFile, "/init"} {
		_ = os.RemoveAll(p)
	}
}

func switchRoot() error {
	for _, m := range kernelMounts {
		if err := unix.Mount(m.target, newRoot+m.target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s to the new root: %w", m.target, err)
		}
	}
	if err := unix.Chdir(newRoot); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the new root to /: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter /: %w", err)
	}
	return nil
}
