package process

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childInfo is siginfo_t for SIGCHLD on 64-bit Linux (sigaction(2)).
type childInfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
}

// si_code of SIGCHLD.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// status turns what waitid(2) says into what wait(2) would have said.
func status(info *unix.Siginfo) (syscall.WaitStatus, error) {
	c := (*childInfo)(unsafe.Pointer(info))
	switch {
	case c.pid == 0:
		return 0, fmt.Errorf("wait: process has not ended")
	case c.code == cldExited:
		return syscall.WaitStatus(c.status & 0xff << 8), nil
	case c.code == cldDumped:
		return syscall.WaitStatus(c.status | 0x80), nil
	case c.code == cldKilled:
		return syscall.WaitStatus(c.status), nil
	}
	return 0, fmt.Errorf("wait: unknown si_code %d", c.code)
}
