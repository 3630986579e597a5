package supervisor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/units"
)

// Engine owns the state of all units.
type Engine struct {
	kernel Kernel
	graph  *units.Graph
	set    *units.Set
	states map[string]*state
	events chan Event

	dirty    bool // the snapshot at PID 1 is old
	busy     bool // runJobs is on the stack
	stopping string
}

// state is one unit at run time: what survives a crash, and what does not.
type state struct {
	u *units.Unit
	saved
	job    *job
	cancel func() // of the running timer
	gen    int    // of the running timer
}

// saved is the part of a unit's state that goes into the snapshot.
type saved struct {
	Active     string
	Sub        string
	Result     string `json:",omitempty"`
	Error      string `json:",omitempty"`
	Invocation string `json:",omitempty"`
	MainPID    int    `json:",omitempty"` // spawning: being started
	ControlPID int    `json:",omitempty"`
	Step       int    `json:",omitempty"` // command within the present list
	Restarts   int    `json:",omitempty"`
	Streak     int    `json:",omitempty"` // restarts since it last ran steadily
	Since      time.Time
	StartedUS  int64         `json:",omitempty"`
	ActiveUS   int64         `json:",omitempty"`
	EndedUS    int64         `json:",omitempty"`
	FiredUS    int64         `json:",omitempty"` // timer: last elapse
	Starts     []int64       `json:",omitempty"` // µs, within the start limit's interval
	Deadline   time.Duration `json:",omitempty"` // of the running timer
	StopBy     time.Duration `json:",omitempty"`
	Job        string        `json:",omitempty"`
	JobRunning bool          `json:",omitempty"`
}

// spawning stands for a pid between the snapshot and the fork.
const spawning = -1

// NewEngine makes an engine in which all units are inactive. The kernel is set
// by Attach before Run.
func NewEngine(set *units.Set) *Engine {
	e := &Engine{graph: units.NewGraph(set), set: set, states: map[string]*state{}, events: make(chan Event, 1024)}
	for name, u := range set.Units {
		e.states[name] = newState(u)
	}
	return e
}

func newState(u *units.Unit) *state {
	return &state{u: u, saved: saved{Active: "inactive", Sub: "dead", Since: time.Now().UTC()}}
}

// Attach gives the engine its kernel.
func (e *Engine) Attach(k Kernel) { e.kernel = k }

// Post hands an event to the loop. It may wait for the loop, so the loop itself
// never calls it.
func (e *Engine) Post(ev Event) { e.events <- ev }

// Run is the loop; it returns when ctx ends.
func (e *Engine) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-e.events:
			e.Handle(ev)
		}
	}
}

// Handle processes one event to its end and saves what changed.
func (e *Engine) Handle(ev Event) {
	if ev.Kind == EventCall {
		ev.Call()
	} else if s := e.states[ev.Unit]; s != nil {
		e.dispatch(s, ev)
	}
	e.runJobs()
	e.flush()
}

func (e *Engine) dispatch(s *state, ev Event) {
	switch ev.Kind {
	case EventExit:
		e.exited(s, ev)
	case EventNotify:
		e.notified(s, ev)
	case EventTimeout:
		if ev.Gen == s.gen && s.cancel != nil {
			s.cancel, s.Deadline = nil, 0
			e.timeout(s)
		}
	case EventReady:
		e.socketReady(s)
	}
}

// timeout is what a unit's one timer means in its present state.
func (e *Engine) timeout(s *state) {
	switch s.u.Kind {
	case units.KindService:
		e.serviceTimeout(s)
	case units.KindSocket:
		e.listen(s)
	case units.KindTimer:
		e.elapse(s)
	}
}

// arm starts the unit's one timer, replacing the one that ran.
func (e *Engine) arm(s *state, d time.Duration) {
	e.disarm(s)
	if d == units.Forever {
		return
	}
	s.gen++
	s.Deadline = e.kernel.Now() + d
	s.cancel = e.kernel.After(d, Event{Kind: EventTimeout, Unit: s.u.Name, Gen: s.gen})
	e.dirty = true
}

func (e *Engine) disarm(s *state) {
	if s.cancel != nil {
		s.cancel()
	}
	s.cancel, s.Deadline = nil, 0
}

// enter is the one place where a unit changes state.
func (e *Engine) enter(s *state, active, sub string) {
	e.dirty = true
	before := s.Active
	s.Active, s.Sub = active, sub
	if before == active {
		return
	}
	s.Since = time.Now().UTC()
	now := e.now()
	switch active {
	case "active":
		s.ActiveUS = now
		e.kernel.Log(s.u.Name, 6, s.u.Name+" is "+sub)
	case "failed":
		s.EndedUS = now
		e.kernel.Log(s.u.Name, 3, s.u.Name+" failed: "+orResult(s))
	case "inactive":
		s.EndedUS = now
		e.kernel.Log(s.u.Name, 6, s.u.Name+" ended")
	}
	e.tell(s)
}

func orResult(s *state) string {
	if s.Error != "" {
		return s.Result + ": " + s.Error
	}
	return s.Result
}

// tell reports services and targets that came up or failed.
func (e *Engine) tell(s *state) {
	reported := s.u.Kind == units.KindService || s.u.Kind == units.KindTarget || s.u.Kind == units.KindSocket
	if reported && (s.Active == "active" || s.Active == "failed") {
		ev := api.BootEvent{Event: "unit", Unit: s.u.Name, State: s.Active, US: e.now()}
		if s.Active == "failed" {
			ev.Text = orResult(s)
		}
		e.kernel.Tell(ev)
	}
}

func (e *Engine) now() int64 { return e.kernel.Now().Microseconds() }

// flush sends the snapshot if something changed.
func (e *Engine) flush() {
	if !e.dirty {
		return
	}
	e.dirty = false
	e.kernel.Save(e.snapshot())
}

type snapshot struct {
	Stopping string `json:",omitempty"`
	Units    map[string]saved
}

func (e *Engine) snapshot() []byte {
	snap := snapshot{Stopping: e.stopping, Units: map[string]saved{}}
	for name, s := range e.states {
		s.Job, s.JobRunning = "", false
		if s.job != nil {
			s.Job, s.JobRunning = s.job.kind, s.job.running
		}
		if s.Invocation != "" || s.Active != "inactive" || s.job != nil {
			snap.Units[name] = s.saved
		}
	}
	b, err := json.Marshal(snap)
	if err != nil {
		panic(err) // plain fields only
	}
	return b
}

func (e *Engine) sortedNames() []string { return slices.Sorted(maps.Keys(e.states)) }

func newInvocation() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
