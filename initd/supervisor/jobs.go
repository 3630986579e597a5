package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/units"
)

// job is what a unit is asked to become. A unit has one at most; a new request
// replaces or joins it.
type job struct {
	kind    string // start, stop, or restart: stop, then start
	running bool
	done    []func(error)
}

const (
	jobStart   = "start"
	jobStop    = "stop"
	jobRestart = "restart"
)

var errCanceled = errors.New("canceled by a later request")

// Start starts a unit and what it pulls in. done, if not nil, is called in the
// loop when the unit's own job has ended.
func (e *Engine) Start(name string, done func(error)) error {
	if e.stopping != "" {
		return api.Errorf(api.KindUnavailable, "start %s: the node is going down (%s)", name, e.stopping)
	}
	if err := e.exists(name); err != nil {
		return err
	}
	order, notes, err := e.graph.Start(name)
	if err != nil {
		return api.Errorf(api.KindInvalid, "start %s: %v", name, err)
	}
	for _, n := range notes {
		e.kernel.Log(name, 4, n)
	}
	for _, unit := range order {
		e.wantStart(e.states[unit])
	}
	if j := e.states[name].job; j != nil && done != nil {
		j.done = append(j.done, done)
	} else if done != nil {
		done(nil)
	}
	return nil
}

// exists finds a unit, making an instance of a template where the name asks for one.
func (e *Engine) exists(name string) error {
	if e.states[name] != nil {
		return nil
	}
	if err := e.set.Errors[name]; err != nil {
		return api.Errorf(api.KindInvalid, "%v", err)
	}
	if !e.set.Instance(name) || e.set.Units[name] == nil {
		return api.Errorf(api.KindNotFound, "unit %q does not exist", name)
	}
	e.graph = units.NewGraph(e.set)
	e.states[name] = newState(e.set.Units[name])
	return nil
}

func (e *Engine) wantStart(s *state) {
	switch {
	case s.job == nil && s.Active == "active":
	case s.job == nil:
		s.job = &job{kind: jobStart}
	case s.job.kind == jobStop && s.job.running:
		s.job.kind = jobRestart
	case s.job.kind == jobStop:
		e.replaceJob(s, jobStart)
		if s.Active == "active" {
			e.finishJob(s, nil)
		}
	}
	e.dirty = true
}

func (e *Engine) replaceJob(s *state, kind string) {
	old := s.job
	s.job = &job{kind: kind}
	e.dirty = true
	if old != nil {
		for _, f := range old.done {
			f(errCanceled)
		}
	}
}

// Stop stops a unit and those that cannot be without it.
func (e *Engine) Stop(name string, done func(error)) error {
	if err := e.exists(name); err != nil {
		return err
	}
	for _, unit := range e.stopClosure(name) {
		e.wantStop(e.states[unit], jobStop)
	}
	if j := e.states[name].job; j != nil && done != nil {
		j.done = append(j.done, done)
	} else if done != nil {
		done(nil)
	}
	return nil
}

// Restart stops and starts a unit, and with it those that stop with it.
func (e *Engine) Restart(name string, done func(error)) error {
	if err := e.exists(name); err != nil {
		return err
	}
	if s := e.states[name]; !up(s) {
		return e.Start(name, done)
	}
	if e.stopping != "" {
		return api.Errorf(api.KindUnavailable, "restart %s: the node is going down (%s)", name, e.stopping)
	}
	for _, unit := range e.stopClosure(name) {
		e.wantStop(e.states[unit], jobRestart)
	}
	if done != nil {
		s := e.states[name]
		s.job.done = append(s.job.done, done)
	}
	return nil
}

// stopClosure is the unit and, over and over, the running units stopped with it.
func (e *Engine) stopClosure(name string) []string {
	closure := []string{name}
	seen := map[string]bool{name: true}
	for i := 0; i < len(closure); i++ {
		for _, v := range e.graph.StoppedWith(closure[i]) {
			if s := e.states[v]; s != nil && !seen[v] && (up(s) || s.job != nil) {
				seen[v] = true
				closure = append(closure, v)
			}
		}
	}
	return closure
}

func up(s *state) bool { return s.Active != "inactive" && s.Active != "failed" }

func (e *Engine) wantStop(s *state, kind string) {
	switch {
	case s.job != nil && s.job.running && s.job.kind != jobStart:
		s.job.kind = kind // it is stopping already
	case !up(s) && kind == jobStop:
		if s.job != nil {
			e.finishJob(s, errCanceled)
		}
	default:
		e.replaceJob(s, kind)
	}
	e.dirty = true
}

// runJobs starts every job that nothing holds back, until nothing changes.
func (e *Engine) runJobs() {
	if e.busy {
		return
	}
	e.busy = true
	for progress := true; progress; {
		progress = false
		for _, name := range e.sortedNames() {
			s := e.states[name]
			if s.job != nil && !s.job.running && !e.blocked(s) {
				progress = true
				e.runJob(s)
			}
		}
	}
	e.busy = false
	e.powerIfDone()
}

// blocked tells whether a job has to wait for that of a unit it is ordered
// against: a start for the units before it, a stop for the units after it, a
// start for any stop (systemd.unit(5), Before=).
func (e *Engine) blocked(s *state) bool {
	if s.job.kind == jobStart && s.Active == "deactivating" {
		return true
	}
	for _, name := range e.graph.Neighbours(s.u.Name) {
		other := e.states[name]
		if other == nil || other.job == nil {
			continue
		}
		follows := e.graph.Follows(s.u.Name, name)
		otherStops := other.job.kind != jobStart
		switch {
		case s.job.kind == jobStart && (follows || otherStops):
			return true
		case s.job.kind != jobStart && otherStops && !follows:
			return true
		}
	}
	return false
}

func (e *Engine) runJob(s *state) {
	s.job.running = true
	e.dirty = true
	if s.job.kind == jobStart {
		e.startUnit(s)
		return
	}
	if !up(s) {
		e.stopped(s)
		return
	}
	e.stopUnit(s)
}

func (e *Engine) startUnit(s *state) {
	if s.Active == "active" {
		e.finishJob(s, nil)
		return
	}
	s.Result, s.Error = "", ""
	switch s.u.Kind {
	case units.KindService:
		e.startService(s)
	case units.KindSocket:
		e.startSocket(s)
	case units.KindTimer:
		e.startTimer(s)
	default:
		s.StartedUS = e.now()
		e.enter(s, "active", "active")
		e.finishJob(s, nil)
	}
}

func (e *Engine) stopUnit(s *state) {
	switch s.u.Kind {
	case units.KindService:
		e.stopService(s)
		return
	case units.KindSocket:
		e.kernel.Unwatch(s.u.Name)
		e.kernel.Unbind(s.u)
	}
	e.disarm(s)
	e.enter(s, "inactive", "dead")
	e.stopped(s)
}

// stopped ends a stop job, or turns a restart into its second half.
func (e *Engine) stopped(s *state) {
	if s.job != nil && s.job.kind == jobRestart {
		s.job.kind, s.job.running = jobStart, false
		e.dirty = true
		return
	}
	e.finishJob(s, nil)
}

// finishJob ends a job; a start that failed takes along those who require it.
func (e *Engine) finishJob(s *state, err error) {
	if s.job == nil {
		return
	}
	j := s.job
	s.job = nil
	e.dirty = true
	for _, f := range j.done {
		f(err)
	}
	if err == nil || j.kind == jobStop {
		return
	}
	for _, name := range e.graph.RequiredBy(s.u.Name) {
		if w := e.states[name]; w != nil && w.job != nil && w.job.kind == jobStart && !w.job.running && e.graph.Follows(name, s.u.Name) {
			w.Result, w.Error = "dependency", fmt.Sprintf("%s did not start", s.u.Name)
			e.enter(w, "failed", "failed")
			e.finishJob(w, fmt.Errorf("start %s: %s", name, w.Error))
		}
	}
}

// powerTimeout is how long services may take to stop before the machine goes down.
const powerTimeout = 40 * time.Second

// Power stops everything and then the machine.
func (e *Engine) Power(action string) error {
	if action != "reboot" && action != "poweroff" {
		return api.Errorf(api.KindInvalid, "power action %q is neither reboot nor poweroff", action)
	}
	if e.stopping != "" {
		return nil
	}
	e.stopping = action
	e.dirty = true
	e.kernel.Log("initd", 5, action+": stopping all units")
	for _, s := range e.states {
		if up(s) || s.job != nil {
			e.wantStop(s, jobStop)
		}
	}
	e.kernel.After(powerTimeout, Event{Kind: EventCall, Call: func() { e.kernel.Power(action) }})
	return nil
}

func (e *Engine) powerIfDone() {
	if e.stopping == "" {
		return
	}
	for _, s := range e.states {
		if s.job != nil {
			return
		}
	}
	e.kernel.Power(e.stopping)
}
