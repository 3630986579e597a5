package pid1

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

type mount struct {
	source, target, kind string
	flags                uintptr
	options              string
}

// mounts is the order of the early file systems. What stage one has mounted is
// found mounted. (container-lab: what containerd and runc need.)
var mounts = []mount{
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=755"},
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"tmpfs", "/var", "tmpfs", unix.MS_NODEV, "mode=755,size=75%"},
	{"tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=25%"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=620,ptmxmode=666,gid=5"},
	{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate,memory_recursiveprot"},
}

// folders are made after the mounts; all of them lie in memory.
var folders = []string{"/run/ingot", "/run/lock", "/var/lib", "/var/log", "/var/log/ingot", "/var/tmp", "/var/cache"}

// prepare does its best: a machine that lacks one of these still starts, and
// says so on the console.
func prepare() {
	for _, m := range mounts {
		mountOne(m)
	}
	// Containers' mounts must propagate (mount_namespaces(7)).
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		say("share mounts: %v", err)
	}
	for _, f := range folders {
		if err := os.MkdirAll(f, 0o755); err != nil {
			say("%v", err)
		}
	}
	if err := os.Symlink("/run", "/var/run"); err != nil && !errors.Is(err, os.ErrExist) {
		say("%v", err)
	}
	enableControllers()
	limits()
	if err := unix.Sethostname([]byte("ingot")); err != nil {
		say("set host name: %v", err)
	}
	if err := os.Chdir("/"); err != nil {
		say("%v", err)
	}
}

func mountOne(m mount) {
	if mounted(m) {
		return
	}
	if err := os.MkdirAll(m.target, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
		say("%v", err)
	}
	err := unix.Mount(m.source, m.target, m.kind, m.flags, m.options)
	if errors.Is(err, unix.EINVAL) { // an option that this kernel does not know
		err = unix.Mount(m.source, m.target, m.kind, m.flags, "")
	}
	if err != nil {
		say("mount %s: %v", m.target, err)
	}
}

// mounted tells whether the target already holds this kind of file system as a
// mount of its own.
func mounted(m mount) bool {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return false // /proc itself is not there yet
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 2 && f[1] == m.target && f[2] == m.kind {
			return true
		}
	}
	return false
}

func enableControllers() {
	for _, c := range []string{"+cpu", "+memory", "+io", "+pids", "+cpuset"} {
		err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte(c), 0o644)
		if err != nil {
			say("enable cgroup controller %s: %v", c[1:], err)
		}
	}
}

func limits() {
	const files = 1 << 20
	if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		say("raise the limit of open files: %v", err)
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0o644); err != nil {
		say("protect from the OOM killer: %v", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		say("become the reaper: %v", err)
	}
	// Ctrl-Alt-Delete becomes SIGINT; not allowed in a namespace, where nobody presses it.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF)
}
