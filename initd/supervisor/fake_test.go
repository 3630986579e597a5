package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/units"
)

// fake is a Kernel in which time stands still until a test moves it.
type fake struct {
	t      *testing.T
	e      *Engine
	now    time.Duration
	timers []*timer
	pid    int
	alive  map[int]Event // its exit, to be completed
	did    []string
	refuse string // program that cannot be started
	prog   map[int]string
	saves  []save
}

// save is a snapshot and what ran when it was taken.
type save struct {
	snap  []byte
	alive map[int]Event
}

type timer struct {
	at   time.Duration
	ev   Event
	dead bool
}

func simulate(t *testing.T, files map[string]string) *fake {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	set, err := units.Load(units.Source{Name: "test", FS: tree})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, e: NewEngine(set), now: time.Second, alive: map[int]Event{}, prog: map[int]string{}, pid: 100}
	f.e.Attach(f)
	return f
}

func (f *fake) note(format string, args ...any) { f.did = append(f.did, fmt.Sprintf(format, args...)) }

// take returns what was done since the last call.
func (f *fake) take() string {
	s := strings.Join(f.did, " ")
	f.did = nil
	return s
}

func (f *fake) Now() time.Duration { return f.now }

func (f *fake) After(d time.Duration, ev Event) func() {
	tm := &timer{f.now + d, ev, false}
	f.timers = append(f.timers, tm)
	return func() { tm.dead = true }
}

func (f *fake) Save(b []byte)               { f.saves = append(f.saves, save{b, maps.Clone(f.alive)}) }
func (f *fake) Log(string, int, string)     {}
func (f *fake) Tell(api.BootEvent)          {}
func (f *fake) Power(a string)              { f.note("power:%s", a) }
func (f *fake) Watch(u string)              { f.note("watch:%s", u) }
func (f *fake) Unwatch(string)              {}
func (f *fake) Bind(*units.Unit) error      { return nil }
func (f *fake) Unbind(*units.Unit)          {}
func (f *fake) Cleanup(*units.Unit, string) {}

func (f *fake) Prepare(*units.Unit, string) error { return nil }

func (f *fake) Start(s Start) (int, error) {
	program := s.Command.Argv[0]
	if program == f.refuse {
		return 0, errors.New("no such file")
	}
	f.pid++
	f.note("%s=%d", strings.TrimPrefix(program, "/"), f.pid)
	f.prog[f.pid] = program
	f.alive[f.pid] = Event{Kind: EventExit, Unit: s.Unit.Name, Invocation: s.Invocation, PID: f.pid}
	return f.pid, nil
}

func (f *fake) Adopt(_, _ string, pid int) bool { _, ok := f.alive[pid]; return ok }

func (f *fake) Signal(pid int, sig syscall.Signal) { f.note("signal:%d:%d", pid, sig) }

func (f *fake) SignalGroup(u, inv string, sig syscall.Signal) {
	for _, pid := range f.PIDs(u, inv) {
		f.Signal(pid, sig)
	}
}

func (f *fake) KillGroup(u, inv string) { f.SignalGroup(u, inv, syscall.SIGKILL) }

func (f *fake) PIDs(u, inv string) []int {
	var out []int
	for pid, ev := range f.alive {
		if ev.Unit == u && ev.Invocation == inv {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// exit ends a process: status as wait(2), code<<8 or a signal.
func (f *fake) exit(pid, status int) {
	ev := f.alive[pid]
	delete(f.alive, pid)
	ev.Status = syscall.WaitStatus(status)
	f.e.Handle(ev)
}

// pass lets time go by, with every timer that falls due.
func (f *fake) pass(d time.Duration) {
	end := f.now + d
	for {
		var next *timer
		for _, tm := range f.timers {
			if !tm.dead && tm.at <= end && (next == nil || tm.at < next.at) {
				next = tm
			}
		}
		if next == nil {
			break
		}
		next.dead, f.now = true, max(f.now, next.at)
		f.e.Handle(next.ev)
	}
	f.now = end
}

func (f *fake) do(err func() error) {
	f.t.Helper()
	f.e.Handle(Event{Kind: EventCall, Call: func() {
		if e := err(); e != nil {
			f.t.Error(e)
		}
	}})
}

func (f *fake) start(u string) { f.t.Helper(); f.do(func() error { return f.e.Start(u, nil) }) }
func (f *fake) stop(u string)  { f.t.Helper(); f.do(func() error { return f.e.Stop(u, nil) }) }

func (f *fake) want(did string, states ...string) {
	f.t.Helper()
	if got := f.take(); got != did {
		f.t.Errorf("did %q, want %q", got, did)
	}
	for _, s := range states {
		unit, sub, _ := strings.Cut(s, "=")
		if got := f.e.states[unit].Sub; got != sub {
			f.t.Errorf("%s is %s, want %s", unit, got, sub)
		}
	}
}
