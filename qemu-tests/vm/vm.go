// Package vm is one QEMU machine under software emulation: firmware, memory, a
// network card on a switch's port, a console, an event port, and a power button.
//
// A Machine is one QEMU process, from power-on to its end. Start returns once
// QEMU answers; Done tells when it has ended, End how: power cut, powered off
// by the guest, reset by the guest. A guest's reboot ends the machine, and
// whoever owns it starts the next (each QEMU decides anew what to boot).
//
// Files in Config.Dir: console.log (all boots), console.sock (to type at it),
// events.ndjson (what the node said on its event port, with the host's time),
// qemu.log (QEMU's own words), qemu.pid, vars.fd (UEFI variables).
//
// It refuses KVM, graphics and disks. Goroutines: the process's (package child),
// one for the event port, one for QEMU's monitor; Done is closed after all.
package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/child"
	"github.com/ingot-os/ingot/qemu-tests/sock"
)

// Names of a machine's files.
const (
	ConsoleLog  = "console.log"
	EventsLog   = "events.ndjson"
	QEMULog     = "qemu.log"
	consoleSock = "console.sock"
	eventsSock  = "events.sock"
	qmpSock     = "qmp.sock"
	pidFile     = "qemu.pid"
	varsFile    = "vars.fd"
	eventPort   = api.EventPort
)

// Files lists every name that a machine may leave in its folder.
var Files = []string{ConsoleLog, EventsLog, QEMULog, consoleSock, eventsSock, qmpSock, pidFile, varsFile, oemFile(0)}

// End is how a machine came to its end.
type End struct {
	Reason string        `json:"reason"` // power-cut | off | reset | panic | error
	Text   string        `json:"text,omitempty"`
	CPU    time.Duration `json:"cpu_ns"`
}

// Machine is one powered-on QEMU.
type Machine struct {
	Config  Config
	Started time.Time

	proc   *child.Process
	stderr *bytes.Buffer // read after done
	log    *os.File
	events net.Listener
	qmp    net.Listener
	work   sync.WaitGroup
	done   chan struct{}
	up     chan struct{} // QEMU's monitor has greeted
	cut    chan struct{} // somebody pulled the plug
	once   sync.Once
	end    End

	mu     sync.Mutex // guards reason
	reason string     // QEMU's word for why it shut down
}

// Start powers a machine on and returns once QEMU runs it.
func Start(ctx context.Context, c Config) (*Machine, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	m := &Machine{
		Config: c, stderr: &bytes.Buffer{},
		done: make(chan struct{}), up: make(chan struct{}), cut: make(chan struct{}),
	}
	if err := m.start(); err != nil {
		return nil, fmt.Errorf("power on %s: %w", c.Name, err)
	}
	select {
	case <-m.up:
		return m, nil
	case <-m.done:
		return nil, fmt.Errorf("power on %s: %s", c.Name, m.end.Text)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("power on %s: %w", c.Name, ctx.Err()), m.PowerCut())
	}
}

func (m *Machine) start() error {
	if err := os.MkdirAll(m.Config.Dir, 0o755); err != nil {
		return err
	}
	program, err := exec.LookPath(QEMU)
	if err != nil {
		return fmt.Errorf("%s is not installed (Debian package qemu-system-x86)", QEMU)
	}
	if err := m.Config.writeOEM(); err != nil {
		return err
	}
	fw, err := m.firmware()
	if err != nil {
		return err
	}
	if err := m.open(); err != nil {
		return errors.Join(err, m.close())
	}
	cmd := exec.Command(program, m.Config.args(fw)...)
	cmd.Dir = m.Config.Dir
	cmd.Stdout = m.log
	cmd.Stderr = io.MultiWriter(m.log, m.stderr)
	m.Started = time.Now()
	if m.proc, err = child.Start(cmd, nil); err != nil {
		return errors.Join(err, m.close())
	}
	m.work.Go(m.readEvents)
	m.work.Go(m.readMonitor)
	go m.wait()
	pid := strconv.Itoa(m.proc.ID.PID) + "\n"
	if err := os.WriteFile(m.path(pidFile), []byte(pid), 0o644); err != nil {
		return errors.Join(err, m.PowerCut())
	}
	return nil
}

// open makes what QEMU connects to, so that nothing the node says is missed.
func (m *Machine) open() (err error) {
	if m.log, err = os.Create(m.path(QEMULog)); err != nil {
		return err
	}
	if err = os.Remove(m.path(consoleSock)); err != nil && !os.IsNotExist(err) {
		return err
	}
	if m.events, err = sock.Listen(m.path(eventsSock)); err != nil {
		return err
	}
	m.qmp, err = sock.Listen(m.path(qmpSock))
	return err
}

func (m *Machine) close() error {
	var errs []error
	if m.events != nil {
		errs = append(errs, m.events.Close())
	}
	if m.qmp != nil {
		errs = append(errs, m.qmp.Close())
	}
	if m.log != nil {
		errs = append(errs, m.log.Close())
	}
	return errors.Join(errs...)
}

// wait sees the machine to its end.
func (m *Machine) wait() {
	<-m.proc.Done()
	_ = m.events.Close() // readers that nobody connected to end as well
	_ = m.qmp.Close()
	m.work.Wait()
	_ = m.log.Close()
	_ = os.Remove(m.path(pidFile))
	m.end = m.judge()
	close(m.done)
}

// judge says how the machine ended.
func (m *Machine) judge() End {
	e := End{CPU: m.proc.CPU()}
	m.mu.Lock()
	reason := m.reason
	m.mu.Unlock()
	select {
	case <-m.cut:
		e.Reason, e.Text = "power-cut", "power was cut"
		return e
	default:
	}
	switch {
	case reason == "guest-reset":
		e.Reason, e.Text = "reset", "the machine reset itself"
	case reason == "guest-shutdown":
		e.Reason, e.Text = "off", "the machine powered itself off"
	case reason == "guest-panic":
		e.Reason, e.Text = "panic", "the kernel panicked"
	default:
		e.Reason, e.Text = "error", m.complaint()
	}
	return e
}

// complaint is QEMU's last line, or how it died.
func (m *Machine) complaint() string {
	if s := bytes.TrimSpace(m.stderr.Bytes()); len(s) > 0 {
		return string(s[bytes.LastIndexByte(s, '\n')+1:])
	}
	return fmt.Sprintf("qemu ended: %v", m.proc.Err())
}

// Done is closed once the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// End tells how the machine ended; only after Done.
func (m *Machine) End() End { return m.end }

// Process names the QEMU process.
func (m *Machine) Process() child.Ident { return m.proc.ID }

// CPU is the host's processor time that the machine has used.
func (m *Machine) CPU() time.Duration { return m.proc.CPU() }

// PowerCut takes the power away, as a hand on the cable does, and waits.
func (m *Machine) PowerCut() error {
	m.once.Do(func() { close(m.cut) })
	if err := m.proc.Signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("cut power of %s: %w", m.Config.Name, err)
	}
	<-m.done
	return nil
}

// Console connects to the serial line; one at a time.
func (m *Machine) Console(ctx context.Context) (net.Conn, error) {
	return sock.Dial(ctx, m.path(consoleSock))
}

func (m *Machine) path(name string) string { return filepath.Join(m.Config.Dir, name) }
