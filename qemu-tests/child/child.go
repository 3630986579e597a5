// Package child starts processes that cannot outlive their parent, and knows
// them again later by pid and start time.
//
// A child gets SIGKILL when the process that started it dies, even by SIGKILL
// (prctl(2), PR_SET_PDEATHSIG). The kernel ties that to the starting thread, so
// one goroutine per child holds a thread from start to end of the child; it is
// Start's, and Done tells when it has ended.
//
// It signals only through a pidfd whose start time has been compared: never a
// stranger that was given an old pid.
package child

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/netns"
	"golang.org/x/sys/unix"
)

// Process is a running or ended child.
type Process struct {
	ID   Ident
	cmd  *exec.Cmd
	done chan struct{}
	err  error         // after done
	cpu  time.Duration // after done
}

// Start runs cmd, inside a network namespace unless space is nil.
func Start(cmd *exec.Cmd, space *netns.Space) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the parent, which ends its children in order
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.hold(space, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// hold starts the child and keeps the thread until it ends.
func (p *Process) hold(space *netns.Space, started chan<- error) {
	runtime.LockOSThread() // for good: the thread ends with this goroutine
	defer close(p.done)
	if space != nil {
		if err := space.Enter(); err != nil {
			started <- err
			return
		}
	}
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	id, err := Identify(p.cmd.Process.Pid) // ours and not waited for: it has not been reused
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		started <- err
		return
	}
	p.ID = id
	started <- nil
	p.err = p.cmd.Wait()
	p.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Done is closed once the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended, as (*exec.Cmd).Wait tells it; only after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal; an ended child is fine.
func (p *Process) Signal(sig syscall.Signal) error { return p.ID.Signal(sig) }

// Stop asks with SIGTERM, then kills after grace, and waits.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
	}
	return p.Kill()
}

// Kill ends the child at once and waits for it.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// CPU is the processor time that the child has used, all its threads together.
func (p *Process) CPU() time.Duration {
	select {
	case <-p.done:
		return p.cpu
	default:
		return cpuOf(p.ID.PID)
	}
}

// Ident names a process beyond the reuse of its pid.
type Ident struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks after boot, /proc/PID/stat field 22
}

// Identify reads a process's start time.
func Identify(pid int) (Ident, error) {
	f, err := stat(pid)
	if err != nil {
		return Ident{}, err
	}
	started, err := strconv.ParseUint(f[22-3], 10, 64)
	if err != nil {
		return Ident{}, fmt.Errorf("read start time of process %d: %w", pid, err)
	}
	return Ident{PID: pid, Started: started}, nil
}

// Alive tells whether that very process exists and is not a zombie.
func (i Ident) Alive() bool {
	f, err := stat(i.PID)
	return err == nil && f[22-3] == strconv.FormatUint(i.Started, 10) && f[0] != "Z" && f[0] != "X"
}

// Signal sends a signal to that very process; one that has ended is fine.
func (i Ident) Signal(sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(i.PID, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", i.PID, err)
	}
	defer unix.Close(fd)
	if !i.Alive() { // compared after opening: the pidfd cannot change hands
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("signal process %d: %w", i.PID, err)
	}
	return nil
}

// Wait waits until that very process, of any parent, has ended; it tells
// whether that was within limit.
func (i Ident) Wait(limit time.Duration) bool {
	fd, err := unix.PidfdOpen(i.PID, 0)
	if err != nil {
		return !i.Alive()
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(limit)
	for i.Alive() {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		// a pidfd is readable once its process has ended (pidfd_open(2))
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return !i.Alive()
		}
	}
	return true
}

// stat reads /proc/PID/stat from field 3, the state, on: what precedes it holds
// the program's name, which may hold anything.
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("look at process %d: %w", pid, err)
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 22 {
		return nil, fmt.Errorf("look at process %d: %d fields in its stat", pid, len(f))
	}
	return f, nil
}

// ticksPerSecond is USER_HZ, 100 on every architecture that Go runs on.
const ticksPerSecond = 100

// cpuOf adds user and system time, fields 14 and 15, of all threads.
func cpuOf(pid int) time.Duration {
	f, err := stat(pid)
	if err != nil {
		return 0
	}
	user, _ := strconv.ParseInt(f[14-3], 10, 64)
	system, _ := strconv.ParseInt(f[15-3], 10, 64)
	return time.Duration(user+system) * (time.Second / ticksPerSecond)
}
