// Package handover is the wire between PID 1 and the supervisor: datagrams of
// JSON, with at most one file descriptor each, over a SOCK_SEQPACKET socket pair.
//
// When PID 1 starts a supervisor it sends: KindFD for each descriptor in its
// store, KindSnapshot if there is one, KindExit for each service that ended
// meanwhile, then KindBegin. From then on it sends KindExit for orphans and
// KindPower when the machine is asked to stop by signal. The supervisor sends
// KindStore, KindDrop, KindSnapshot and KindPower. Nothing is acknowledged: the
// kernel's queue outlives either side's neglect, and PID 1 always reads.
package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Kind is what a message means.
type Kind string

// Kinds of message.
const (
	KindStore    Kind = "store"    // supervisor: keep this descriptor under Name
	KindDrop     Kind = "drop"     // supervisor: forget Name
	KindSnapshot Kind = "snapshot" // both: the supervisor's state, a memfd
	KindPower    Kind = "power"    // both: Name is reboot or poweroff
	KindFD       Kind = "fd"       // PID 1: a kept descriptor
	KindExit     Kind = "exit"     // PID 1: PID ended with Status
	KindBegin    Kind = "begin"    // PID 1: that was all; InitUS, Crashes
)

// Message is one datagram. FD is -1 if none travels with it.
type Message struct {
	Kind    Kind   `json:"kind"`
	Name    string `json:"name,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Status  uint32 `json:"status,omitempty"` // as wait(2) gives it
	InitUS  int64  `json:"init_us,omitempty"`
	Crashes int    `json:"crashes,omitempty"` // deaths of earlier supervisors
	FD      int    `json:"-"`
}

const maxMessage = 4096

// Pair makes the two ends, both closed on exec.
func Pair() (pid1, supervisor int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("make handover socket: %w", err)
	}
	return fds[0], fds[1], nil
}

// Send writes one message. With wait false a full queue is an error.
func Send(fd int, m Message, wait bool) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, err)
	}
	var rights []byte
	if m.FD > 0 {
		rights = unix.UnixRights(m.FD)
	}
	flags := unix.MSG_NOSIGNAL
	if !wait {
		flags |= unix.MSG_DONTWAIT
	}
	for {
		err = unix.Sendmsg(fd, b, rights, nil, flags)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("send %s %s: %w", m.Kind, m.Name, err)
	}
	return nil
}

// Receive reads one message; io.EOF means that the other side is gone.
func Receive(fd int) (Message, error) {
	b := make([]byte, maxMessage)
	oob := make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNRESET) || err == nil && n == 0:
			return Message{}, io.EOF
		case err != nil:
			return Message{}, fmt.Errorf("receive: %w", err)
		}
		m := Message{}
		fd, err := oneFD(oob[:oobn])
		if err != nil {
			return m, err
		}
		if err := json.Unmarshal(b[:n], &m); err != nil {
			return m, fmt.Errorf("receive: %w", err)
		}
		m.FD = fd
		return m, nil
	}
}

func oneFD(oob []byte) (int, error) {
	if len(oob) == 0 {
		return -1, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return -1, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1, err
	}
	for _, extra := range fds[1:] {
		unix.Close(extra)
	}
	return fds[0], nil
}

// Snapshot puts state into a memfd that can travel in a message.
func Snapshot(state []byte) (int, error) {
	fd, err := unix.MemfdCreate("snapshot", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("make snapshot: %w", err)
	}
	for off := 0; off < len(state); {
		n, err := unix.Pwrite(fd, state[off:], int64(off))
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("write snapshot: %w", err)
		}
		off += n
	}
	return fd, nil
}

// ReadSnapshot is the inverse of Snapshot; it does not close fd.
func ReadSnapshot(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	b := make([]byte, st.Size)
	for off := 0; off < len(b); {
		n, err := unix.Pread(fd, b[off:], int64(off))
		if err != nil || n == 0 {
			return nil, fmt.Errorf("read snapshot: %d of %d bytes: %w", off, len(b), err)
		}
		off += n
	}
	return b, nil
}
