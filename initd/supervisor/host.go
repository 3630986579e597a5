package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/initd/cgroup"
	"github.com/ingot-os/ingot/initd/handover"
	"github.com/ingot-os/ingot/initd/journal"
	"github.com/ingot-os/ingot/initd/poll"
	"github.com/ingot-os/ingot/initd/process"
	"github.com/ingot-os/ingot/initd/socket"
	"github.com/ingot-os/ingot/units"
)

// host is the Kernel of a real machine. Like the engine, its fields belong to
// the loop; post and the journal may be used from other goroutines.
type host struct {
	groups   *cgroup.Tree
	accounts *process.Accounts
	journal  *journal.Journal
	poller   *poll.Poller
	keeper   keeper
	post     func(Event)
	events   chan<- api.BootEvent
	notify   string // path of the notify socket
	run, lib string // RuntimeDirectory= and StateDirectory= lie below

	procs   map[int]process.Process
	outputs map[string]int    // invocation -> write end of its pipe
	sockets map[string][]int  // socket unit -> descriptors
	fdNames map[string]string // socket unit -> FileDescriptorName=
}

// keeper is PID 1 as the place where descriptors outlive the supervisor.
type keeper struct{ sock int }

func (k keeper) send(m handover.Message) {
	if err := handover.Send(k.sock, m, true); err != nil {
		fmt.Fprintf(os.Stderr, "initd: %v\n", err) // PID 1 is gone: so are we, soon
	}
}

func (k keeper) store(name string, fd int) {
	k.send(handover.Message{Kind: handover.KindStore, Name: name, FD: fd})
}

func (k keeper) drop(name string) {
	k.send(handover.Message{Kind: handover.KindDrop, Name: name, FD: -1})
}

func (h *host) Now() time.Duration { return event.BootTime() }

func (h *host) After(d time.Duration, ev Event) func() {
	t := time.AfterFunc(d, func() { h.post(ev) })
	return func() { t.Stop() }
}

func (h *host) Save(snapshot []byte) {
	fd, err := handover.Snapshot(snapshot)
	if err != nil {
		h.Log("initd", 2, err.Error())
		return
	}
	defer unix.Close(fd)
	h.keeper.send(handover.Message{Kind: handover.KindSnapshot, FD: fd})
}

func (h *host) Log(unit string, priority int, text string) {
	h.journal.Write(api.LogEntry{Unit: unit, Priority: priority, PID: os.Getpid(), Message: text, Fields: map[string]string{"from": "initd"}})
}

// Tell never waits: the writer of events has a queue, and a full one loses them.
func (h *host) Tell(e api.BootEvent) {
	select {
	case h.events <- e:
	default:
	}
}

func (h *host) Power(action string) {
	h.keeper.send(handover.Message{Kind: handover.KindPower, Name: action, FD: -1})
}

func (h *host) Prepare(u *units.Unit, invocation string) error {
	svc := &u.Service
	h.groups.Sweep(u.Name, "")
	err := h.groups.Create(u.Name, invocation, cgroup.Limits{MemoryMax: svc.MemoryMax, TasksMax: svc.TasksMax, CPUWeight: svc.CPUWeight})
	if err != nil {
		return err
	}
	id, err := h.accounts.Resolve(svc.User, svc.Group, svc.SupplementaryGroups)
	if err != nil {
		return err
	}
	if err := makeFolders(h.run, svc.RuntimeDirectory, id); err != nil {
		return err
	}
	if err := makeFolders(h.lib, svc.StateDirectory, id); err != nil {
		return err
	}
	_, err = h.output(u.Name, invocation)
	return err
}

func makeFolders(base string, names []string, id *process.Identity) error {
	for _, n := range names {
		dir := filepath.Join(base, n)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		uid, gid := id.Owner()
		if err := os.Chown(dir, uid, gid); err != nil {
			return fmt.Errorf("own folder: %w", err)
		}
	}
	return nil
}

func logName(unit, invocation string) string { return "log:" + unit + ":" + invocation }

// output is the write end of an invocation's pipe. PID 1 holds the read end too,
// so that a service outlives the supervisor without SIGPIPE.
func (h *host) output(unit, invocation string) (int, error) {
	if fd, ok := h.outputs[invocation]; ok {
		return fd, nil
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, fmt.Errorf("make output pipe: %w", err)
	}
	name := logName(unit, invocation)
	h.keeper.store(name, p[0])
	h.capture(unit, name, p[0])
	h.outputs[invocation] = p[1]
	return p[1], nil
}

// capture reads a pipe in a goroutine that ends when the last writer has closed it.
func (h *host) capture(unit, name string, fd int) {
	_ = unix.SetNonblock(fd, true) // else the read would hold a thread
	r := os.NewFile(uintptr(fd), name)
	go func() {
		h.journal.Capture(unit, r)
		h.keeper.drop(name)
	}()
}

func (h *host) Start(s Start) (int, error) {
	spec, err := h.spec(s)
	if err != nil {
		return 0, err
	}
	defer unix.Close(spec.CgroupFD)
	p, err := process.Start(spec)
	if err != nil {
		return 0, err
	}
	h.procs[p.PID] = p
	ev := Event{Kind: EventExit, Unit: s.Unit.Name, Invocation: s.Invocation, PID: p.PID}
	err = h.poller.Once(p.PIDFD, func() {
		ws, err := process.Reap(p.PIDFD)
		ev.Status, ev.Lost = ws, err != nil
		h.post(Event{Kind: EventCall, Call: func() { h.forget(p.PID) }})
		h.post(ev)
	})
	return p.PID, err
}

func (h *host) forget(pid int) {
	if p, ok := h.procs[pid]; ok {
		p.Close()
		delete(h.procs, pid)
	}
}

func (h *host) Adopt(unit, invocation string, pid int) bool {
	p, err := process.Adopt(pid)
	if err != nil {
		return false
	}
	u, inv, ok := cgroup.Of(pid)
	if !ok || u != unit || inv != invocation { // the number belongs to someone else now
		p.Close()
		return false
	}
	h.procs[pid] = p
	return true
}

func (h *host) Signal(pid int, sig syscall.Signal) {
	p, ok := h.procs[pid]
	if !ok {
		return
	}
	if err := p.Signal(sig); err != nil {
		h.Log("initd", 4, err.Error())
	}
}

func (h *host) SignalGroup(unit, invocation string, sig syscall.Signal) {
	for _, pid := range h.groups.PIDs(unit, invocation) {
		_ = unix.Kill(pid, sig) // gone already: fine
		if sig == syscall.SIGTERM || sig == syscall.SIGHUP {
			_ = unix.Kill(pid, syscall.SIGCONT) // a stopped process hears too (systemd.kill(5))
		}
	}
}

func (h *host) KillGroup(unit, invocation string) {
	if err := h.groups.Kill(unit, invocation); err != nil {
		h.Log(unit, 3, err.Error())
	}
}

func (h *host) PIDs(unit, invocation string) []int { return h.groups.PIDs(unit, invocation) }

func (h *host) Cleanup(u *units.Unit, invocation string) {
	if fd, ok := h.outputs[invocation]; ok {
		unix.Close(fd)
		delete(h.outputs, invocation)
	}
	h.groups.Sweep(u.Name, "")
	for _, n := range u.Service.RuntimeDirectory {
		if err := os.RemoveAll(filepath.Join(h.run, n)); err != nil {
			h.Log(u.Name, 4, err.Error())
		}
	}
}

func socketName(unit string, i int) string { return fmt.Sprintf("socket:%s:%d", unit, i) }

func (h *host) Bind(u *units.Unit) error {
	h.fdNames[u.Name] = u.Socket.FileDescriptorName
	if len(h.sockets[u.Name]) == len(u.Socket.Listen) {
		return nil // handed over by PID 1
	}
	h.Unbind(u)
	id, err := h.accounts.Resolve(u.Socket.SocketUser, u.Socket.SocketGroup, nil)
	if err != nil {
		return err
	}
	uid, gid := id.Owner()
	for i, address := range u.Socket.Listen {
		fd, err := socket.Listen(address, socket.Options{Mode: u.Socket.SocketMode, UID: uid, GID: gid, Backlog: u.Socket.Backlog})
		if err != nil {
			h.Unbind(u)
			return err
		}
		h.sockets[u.Name] = append(h.sockets[u.Name], fd)
		h.keeper.store(socketName(u.Name, i), fd)
	}
	return nil
}

func (h *host) Watch(unit string) {
	ready := func() { h.post(Event{Kind: EventReady, Unit: unit}) }
	for _, fd := range h.sockets[unit] {
		if err := h.poller.Once(fd, ready); err != nil {
			h.Log(unit, 3, err.Error())
		}
	}
}

func (h *host) Unwatch(unit string) {
	for _, fd := range h.sockets[unit] {
		h.poller.Forget(fd)
	}
}

func (h *host) Unbind(u *units.Unit) {
	for i, fd := range h.sockets[u.Name] {
		h.poller.Forget(fd)
		unix.Close(fd)
		h.keeper.drop(socketName(u.Name, i))
	}
	delete(h.sockets, u.Name)
}
