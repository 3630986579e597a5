// Package process starts one process and waits for it: pidfd, its control group
// from birth (CLONE_INTO_CGROUP), a user of its own, and nothing inherited but
// what is named. It never uses os/exec nor wait4(-1): whoever starts a process
// waits for exactly that one.
//
// What can only be set between fork and exec (LISTEN_PID, umask,
// no_new_privs) is done by a tiny second program, "initd exec": see Shim.
package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec is one process to be.
type Spec struct {
	Argv     []string
	Env      []string
	Dir      string
	Identity *Identity // nil: root
	Output   int       // descriptor for standard output and error
	Sockets  []int     // passed on as descriptors 3 and up
	Names    []string  // of Sockets
	CgroupFD int       // -1: stay in the caller's group

	UMask           int // -1: inherited
	NoNewPrivileges bool
	NOFILE          uint64 // 0: inherited
	OOMScore        int
}

// Process is a child that has been started.
type Process struct {
	PID   int
	PIDFD int
}

// Start forks and execs. An error means that no process is left behind.
func Start(s Spec) (Process, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return Process{}, fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	for _, fd := range s.Sockets {
		_ = unix.SetNonblock(fd, false) // as systemd hands them over: systemd.service(5), NonBlocking=
	}
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir: s.Dir, Env: s.environment(), Files: []uintptr{uintptr(null), uintptr(s.Output), uintptr(s.Output)},
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd, UseCgroupFD: s.CgroupFD >= 0, CgroupFD: s.CgroupFD},
	}
	if s.Identity != nil {
		attr.Sys.Credential = s.Identity.credential()
	}
	for _, fd := range s.Sockets {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	program, argv := s.command()
	pid, err := syscall.ForkExec(program, argv, attr)
	if err != nil {
		return Process{}, fmt.Errorf("start %s: %w", s.Argv[0], err)
	}
	if pidfd < 0 { // the kernel is older than 5.4
		_ = unix.Kill(pid, unix.SIGKILL)
		return Process{}, fmt.Errorf("start %s: the kernel gives no pidfd", s.Argv[0])
	}
	s.tune(pid)
	return Process{pid, pidfd}, nil
}

// tune sets what a parent may set for its child. The child may read its limits
// a moment before; nothing that Ingot ships does so before its main.
func (s Spec) tune(pid int) {
	if s.NOFILE > 0 {
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: s.NOFILE, Max: s.NOFILE}, nil)
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(s.OOMScore)), 0o644)
}

// Reap takes the status of a child whose pidfd has become readable.
func Reap(pidfd int) (syscall.WaitStatus, error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED|unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait: %w", err)
		}
		return status(&info)
	}
}

// Adopt opens a pidfd of a process that is not our child.
func Adopt(pid int) (Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return Process{}, fmt.Errorf("adopt process %d: %w", pid, err)
	}
	return Process{pid, fd}, nil
}

// Signal sends a signal through the pidfd: never to a later owner of the number.
func (p Process) Signal(sig syscall.Signal) error {
	err := unix.PidfdSendSignal(p.PIDFD, sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// Close gives the pidfd back.
func (p Process) Close() { unix.Close(p.PIDFD) }
