// Package pid1 is the process that may not die. It knows nothing of units: it
// mounts what everything stands on, starts the supervisor and starts it again
// when it dies, keeps file descriptors and the last snapshot for it, reaps
// orphans, and turns the machine off.
//
// Waiting: services are children of the supervisor, which waits for them. PID 1
// waits for its own children only: the supervisor, and orphans, among them the
// services of a supervisor that died. It reports every orphan's exit to the
// supervisor of the day; those of the time between two supervisors are kept.
//
// Goroutines: the loop (Run's caller) owns all state; "reader" reads messages of
// one supervisor and ends with it. A panic in the loop is printed and the loop
// entered again.
package pid1

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/boot/stageone"
	"github.com/ingot-os/ingot/initd/handover"
)

// keptExits is how many exits PID 1 remembers while there is no supervisor.
const keptExits = 4096

type pid1 struct {
	program string // the supervisor's file
	initUS  int64

	store    map[string]int // kept descriptors by name
	snapshot int            // memfd, -1 if none
	exits    []handover.Message

	supervisor int // its pid, 0 if none
	sock       int // our end of its socket, -1 if none
	startedAt  time.Duration
	crashes    int
	retry      <-chan time.Time

	messages chan received
	power    string // asked for by signal before a supervisor could hear it
}

// received is one message, or the end of a supervisor's messages.
type received struct {
	handover.Message
	sock int
	err  error
}

// Run is PID 1's life; it returns only if the machine cannot be turned off.
func Run() {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	p := &pid1{
		program: "/proc/self/exe", initUS: initTime(), snapshot: -1, sock: -1,
		store: map[string]int{}, messages: make(chan received),
	}
	prepare()
	noteImage()
	// The port comes up in the background on some machines; losing this event costs a figure only.
	go func() { _ = tell(api.BootEvent{Event: "init", US: p.initUS}) }()
	p.start()
	for {
		p.turn(signals)
	}
}

func initTime() int64 {
	us, err := strconv.ParseInt(os.Getenv(stageone.EnvInit), 10, 64)
	if err != nil {
		us = event.BootTime().Microseconds()
	}
	os.Unsetenv(stageone.EnvInit)
	return us
}

// noteImage leaves the digest of the running root image where the node API and
// enrolment look for it.
func noteImage() {
	digest := os.Getenv(stageone.EnvImage)
	os.Unsetenv(stageone.EnvImage)
	if digest == "" {
		return
	}
	if err := os.WriteFile(api.ImageFile, []byte("sha256:"+digest), 0o644); err != nil {
		say("note the running image: %v", err)
	}
}

// tell retries for as long as a virtio port may need to appear.
func tell(e api.BootEvent) error {
	const tries, gap = 50, 20 * time.Millisecond
	for range tries {
		err := event.Write(e)
		if err == nil {
			return nil
		}
		time.Sleep(gap)
	}
	return event.ErrNoPort
}

// turn handles one input.
func (p *pid1) turn(signals <-chan os.Signal) {
	defer func() {
		if r := recover(); r != nil {
			say("panic in PID 1, going on: %v\n%s", r, debug.Stack())
		}
	}()
	select {
	case s := <-signals:
		p.signal(s)
	case m := <-p.messages:
		p.message(m)
	case <-p.retry:
		p.retry = nil
		p.start()
	}
}

func (p *pid1) signal(s os.Signal) {
	switch s {
	case syscall.SIGCHLD:
		p.reap()
	case syscall.SIGTERM:
		p.ask("poweroff")
	case syscall.SIGINT: // Ctrl-Alt-Delete
		p.ask("reboot")
	}
}

// ask lets the supervisor stop the services first.
func (p *pid1) ask(action string) {
	p.power = action
	if p.sock >= 0 {
		_ = handover.Send(p.sock, handover.Message{Kind: handover.KindPower, Name: action}, false) // start tells it again
	}
}

// reap waits for every child that has ended.
func (p *pid1) reap() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if pid == p.supervisor {
			p.supervisorDied(ws)
			continue
		}
		p.report(handover.Message{Kind: handover.KindExit, PID: pid, Status: uint32(ws)})
	}
}

func (p *pid1) report(m handover.Message) {
	if p.sock >= 0 && handover.Send(p.sock, m, false) == nil {
		return
	}
	if len(p.exits) < keptExits {
		p.exits = append(p.exits, m)
	}
}

// supervisorDied starts the next one: at once if this one had lived, later and
// later if not.
func (p *pid1) supervisorDied(ws syscall.WaitStatus) {
	p.crashes++
	say("supervisor (pid %d) ended: %s; starting it again", p.supervisor, describe(ws))
	p.supervisor = 0
	p.closeSocket()
	delay := time.Duration(0)
	if event.BootTime()-p.startedAt < 5*time.Second {
		delay = min(50*time.Millisecond<<min(p.crashes, 7), 5*time.Second)
	}
	p.retry = time.After(delay)
}

func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

func (p *pid1) message(m received) {
	switch {
	case m.sock != p.sock:
		if m.FD >= 0 && m.err == nil {
			unix.Close(m.FD)
		}
	case m.err != nil:
		p.closeSocket() // its death follows, or we make it follow
		if p.supervisor > 0 {
			_ = unix.Kill(p.supervisor, unix.SIGKILL)
		}
	default:
		p.handle(m.Message)
	}
}

func (p *pid1) handle(m handover.Message) {
	switch m.Kind {
	case handover.KindStore:
		p.drop(m.Name)
		p.store[m.Name] = m.FD
	case handover.KindDrop:
		p.drop(m.Name)
	case handover.KindSnapshot:
		if p.snapshot >= 0 {
			unix.Close(p.snapshot)
		}
		p.snapshot = m.FD
	case handover.KindPower:
		powerOff(m.Name)
	default:
		if m.FD >= 0 {
			unix.Close(m.FD)
		}
	}
}

func (p *pid1) drop(name string) {
	if fd, ok := p.store[name]; ok {
		unix.Close(fd)
		delete(p.store, name)
	}
}

func (p *pid1) closeSocket() {
	if p.sock >= 0 {
		// The reader holds the number: shut down first, it closes the descriptor.
		_ = unix.Shutdown(p.sock, unix.SHUT_RDWR)
		p.sock = -1
	}
}

// say writes to the console; nothing else is sure to exist.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "initd: "+format+"\n", args...)
}
