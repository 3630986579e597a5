package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/initd/cgroup"
	"github.com/ingot-os/ingot/initd/console"
	"github.com/ingot-os/ingot/initd/control"
	"github.com/ingot-os/ingot/initd/handover"
	"github.com/ingot-os/ingot/initd/journal"
	"github.com/ingot-os/ingot/initd/poll"
	"github.com/ingot-os/ingot/initd/process"
	"github.com/ingot-os/ingot/initd/socket"
	"github.com/ingot-os/ingot/units"
	"github.com/ingot-os/ingot/units/shipped"
)

// Environment that PID 1's own environment may carry, for tests in a namespace.
const (
	envSocket  = "INGOT_HANDOVER_FD" // set by PID 1
	envUnits   = "INGOT_UNITS"       // folder of units instead of the shipped ones
	envConsole = "INGOT_CONSOLE"     // "none": no console
)

const (
	runDir        = "/run/ingot"
	defaultTarget = "boot.target"
	notifyStored  = "notify"
	controlStored = "control"
)

// Run is "initd supervise": it takes over what PID 1 holds and lives until it is
// killed.
func Run(ctx context.Context, _ []string) error {
	sock, err := strconv.Atoi(os.Getenv(envSocket))
	if err != nil {
		return fmt.Errorf("supervise: %s is not set: only PID 1 starts the supervisor", envSocket)
	}
	unix.CloseOnExec(sock)
	in, err := inherit(sock)
	if err != nil {
		return fmt.Errorf("supervise: take over from PID 1: %w", err)
	}
	s, err := newSupervisor(sock, in)
	if err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	return s.run(ctx)
}

// estate is what PID 1 hands to a new supervisor.
type estate struct {
	fds      map[string]int
	snapshot []byte
	exits    map[int]syscall.WaitStatus
	initUS   int64
	crashes  int
}

func inherit(sock int) (*estate, error) {
	in := &estate{fds: map[string]int{}, exits: map[int]syscall.WaitStatus{}}
	for {
		m, err := handover.Receive(sock)
		if err != nil {
			return nil, err
		}
		switch m.Kind {
		case handover.KindFD:
			in.fds[m.Name] = m.FD
		case handover.KindExit:
			in.exits[m.PID] = syscall.WaitStatus(m.Status)
		case handover.KindSnapshot:
			in.snapshot, err = handover.ReadSnapshot(m.FD)
			unix.Close(m.FD)
			if err != nil {
				return nil, err
			}
		case handover.KindBegin:
			in.initUS, in.crashes = m.InitUS, m.Crashes
			return in, nil
		}
	}
}

type supervisor struct {
	in      *estate
	sock    int
	engine  *Engine
	host    *host
	control net.Listener
	notify  int
	events  chan api.BootEvent
}

func newSupervisor(sock int, in *estate) (*supervisor, error) {
	set, err := loadUnits()
	if err != nil {
		return nil, err
	}
	j, err := journal.Open("/var/log/ingot", journal.Defaults)
	if err != nil {
		return nil, err
	}
	groups, err := cgroup.Open("/sys/fs/cgroup")
	if err != nil {
		return nil, err
	}
	poller, err := poll.New()
	if err != nil {
		return nil, err
	}
	s := &supervisor{in: in, sock: sock, engine: NewEngine(set), events: make(chan api.BootEvent, 256)}
	s.host = &host{
		groups: groups, accounts: process.ReadAccounts("/etc/passwd", "/etc/group"), journal: j, poller: poller,
		keeper: keeper{sock}, post: s.engine.Post, events: s.events, notify: runDir + "/notify", run: "/run", lib: "/var/lib",
		procs: map[int]process.Process{}, outputs: map[string]int{}, sockets: map[string][]int{}, fdNames: map[string]string{},
	}
	s.engine.Attach(s.host)
	for name, u := range set.Units {
		for _, w := range u.Warnings {
			s.host.Log(name, 4, w.String())
		}
	}
	return s, s.openSockets()
}

func loadUnits() (*units.Set, error) {
	if dir := os.Getenv(envUnits); dir != "" {
		return units.Load(units.Source{Name: dir, FS: os.DirFS(dir)})
	}
	return units.Load(
		units.Source{Name: "/run/ingot/units", FS: os.DirFS("/run/ingot/units")},
		units.Source{Name: "/etc/ingot/units", FS: os.DirFS("/etc/ingot/units")},
		units.Source{Name: "shipped", FS: shipped.FS},
	)
}

// openSockets opens the supervisor's own sockets, or takes the kept ones: a
// client never sees them refused.
func (s *supervisor) openSockets() error {
	var err error
	s.notify, err = s.kept(notifyStored, func() (int, error) {
		return socket.Datagram(s.host.notify, socket.Options{Mode: 0o666}) // who writes is told by SCM_CREDENTIALS
	})
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.notify, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return fmt.Errorf("ask for credentials: %w", err)
	}
	fd, err := s.kept(controlStored, func() (int, error) {
		return socket.Listen(runDir+"/initd.sock", socket.Options{Mode: 0o600, Backlog: 64})
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "control socket")
	defer f.Close()
	s.control, err = net.FileListener(f)
	if u, ok := s.control.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return err
}

func (s *supervisor) kept(name string, open func() (int, error)) (int, error) {
	if fd, ok := s.in.fds[name]; ok {
		return fd, nil
	}
	fd, err := open()
	if err == nil {
		s.host.keeper.store(name, fd)
	}
	return fd, err
}

func (s *supervisor) run(ctx context.Context) error {
	failed := make(chan error, 4)
	go func() { failed <- s.host.poller.Run() }()
	go func() { failed <- s.readNotify() }()
	go func() { failed <- s.readPID1() }()
	go s.writeEvents()
	s.takeOver()
	node := &control.Node{Units: s.engine, Journal: s.host.journal, Run: runDir, InitUS: s.in.initUS}
	go func() { failed <- control.Serve(s.control, node) }()
	if os.Getenv(envConsole) != "none" {
		go func() {
			if err := console.Run(ctx, "/dev/console", node); err != nil {
				s.host.Log("initd", 4, err.Error())
			}
		}()
	}
	go s.engine.Run(ctx)
	select {
	case <-ctx.Done(): // PID 1 is ending everything
		return nil
	case err := <-failed: // each of these is needed: PID 1 starts another supervisor
		return err
	}
}

// takeOver resumes what an earlier supervisor left, or starts the first target.
func (s *supervisor) takeOver() {
	for name, fd := range s.in.fds {
		s.takeFD(name, fd)
	}
	if s.in.snapshot != nil {
		s.host.Log("initd", 4, fmt.Sprintf("supervisor started again (%d so far), taking over", s.in.crashes))
		err := s.engine.Recover(s.in.snapshot, s.in.exits)
		if err == nil {
			return
		}
		s.host.Log("initd", 2, err.Error())
	}
	s.engine.Handle(Event{Kind: EventCall, Call: func() {
		if err := s.engine.Start(defaultTarget, nil); err != nil {
			s.host.Log("initd", 2, err.Error())
			s.host.Tell(api.BootEvent{Event: "problem", Text: err.Error()})
		}
	}})
}

func (s *supervisor) takeFD(name string, fd int) {
	kind, rest, _ := strings.Cut(name, ":")
	unit, index, _ := strings.Cut(rest, ":")
	switch kind {
	case "log":
		s.host.capture(unit, name, fd)
	case "socket":
		i, err := strconv.Atoi(index)
		if err != nil || i > 64 {
			return
		}
		for len(s.host.sockets[unit]) <= i {
			s.host.sockets[unit] = append(s.host.sockets[unit], -1)
		}
		s.host.sockets[unit][i] = fd
	}
}

// readNotify is the goroutine "notify": datagrams with the sender's credentials.
func (s *supervisor) readNotify() error {
	buf, oob := make([]byte, 4096), make([]byte, 256)
	for {
		n, oobn, _, _, err := unix.Recvmsg(s.notify, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read notify socket: %w", err)
		}
		if pid := sender(oob[:oobn]); pid > 0 {
			if unit, invocation, ok := cgroup.Of(pid); ok {
				s.engine.Post(Event{Kind: EventNotify, Unit: unit, Invocation: invocation, PID: pid, Text: string(buf[:n])})
			}
		}
	}
}

// sender reads SCM_CREDENTIALS and closes descriptors that came along.
func sender(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	pid := 0
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			pid = int(cred.Pid)
		}
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}
	return pid
}

// readPID1 is the goroutine "pid1".
func (s *supervisor) readPID1() error {
	for {
		m, err := handover.Receive(s.sock)
		if errors.Is(err, io.EOF) {
			return errors.New("PID 1 closed the handover socket")
		}
		if err != nil {
			return err
		}
		s.engine.Post(Event{Kind: EventCall, Call: func() { s.heard(m) }})
	}
}

// heard runs in the loop.
func (s *supervisor) heard(m handover.Message) {
	switch m.Kind {
	case handover.KindExit:
		s.host.forget(m.PID)
		s.engine.orphanExited(m.PID, syscall.WaitStatus(m.Status))
	case handover.KindPower:
		if err := s.engine.Power(m.Name); err != nil {
			s.host.Log("initd", 3, err.Error())
		}
	}
}

// writeEvents is the goroutine "events": the port may be slow or absent.
func (s *supervisor) writeEvents() {
	for e := range s.events {
		// The virtio port may appear after the first units; without one each try is cheap.
		for range 20 {
			if !errors.Is(event.Write(e), event.ErrNoPort) || !virtio() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func virtio() bool {
	found, _ := filepath.Glob("/sys/bus/virtio/drivers/virtio_console/virtio*")
	return len(found) > 0
}
