package pid1

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/initd/handover"
)

// start runs a supervisor and hands it everything that PID 1 holds.
func (p *pid1) start() {
	if err := p.spawn(); err != nil {
		say("start the supervisor: %v; trying again in a second", err)
		p.retry = time.After(time.Second)
		return
	}
	go read(p.sock, p.messages)
	if err := p.handOver(); err != nil { // it died already, or does not read
		say("hand over to the supervisor: %v", err)
		p.closeSocket()
		_ = unix.Kill(p.supervisor, unix.SIGKILL)
	}
}

// handoverFD is the number under which the supervisor finds its socket.
const handoverFD = 3

func (p *pid1) spawn() error {
	ours, theirs, err := handover.Pair()
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(p.program, []string{"initd", "supervise"}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   append(os.Environ(), fmt.Sprintf("INGOT_HANDOVER_FD=%d", handoverFD)),
		Files: []uintptr{0, 1, 2, uintptr(theirs)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	unix.Close(theirs)
	if err != nil {
		unix.Close(ours)
		return err
	}
	p.supervisor, p.sock, p.startedAt = pid, ours, event.BootTime()
	return nil
}

func (p *pid1) handOver() error {
	// A supervisor that does not read must not stop PID 1.
	timeout := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(p.sock, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return fmt.Errorf("bound sending: %w", err)
	}
	for _, m := range p.estate() {
		if err := handover.Send(p.sock, m, true); err != nil {
			return err
		}
	}
	p.exits = nil
	return nil
}

// estate is what a new supervisor inherits.
func (p *pid1) estate() []handover.Message {
	var out []handover.Message
	for _, name := range slices.Sorted(maps.Keys(p.store)) {
		out = append(out, handover.Message{Kind: handover.KindFD, Name: name, FD: p.store[name]})
	}
	if p.snapshot >= 0 {
		out = append(out, handover.Message{Kind: handover.KindSnapshot, FD: p.snapshot})
	}
	out = append(out, p.exits...)
	out = append(out, handover.Message{Kind: handover.KindBegin, InitUS: p.initUS, Crashes: p.crashes})
	if p.power != "" {
		out = append(out, handover.Message{Kind: handover.KindPower, Name: p.power})
	}
	return out
}

// read is the goroutine "reader": it owns closing the socket.
func read(sock int, out chan<- received) {
	defer unix.Close(sock)
	for {
		m, err := handover.Receive(sock)
		out <- received{m, sock, err}
		if err != nil {
			return
		}
	}
}
