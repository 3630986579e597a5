package supervisor

import (
	"fmt"
	"time"

	"github.com/ingot-os/ingot/units"
)

// startSocket opens the sockets and waits for the first connection.
func (e *Engine) startSocket(s *state) {
	s.StartedUS = e.now()
	if err := e.kernel.Bind(s.u); err != nil {
		s.Result, s.Error = "resources", err.Error()
		e.enter(s, "failed", "failed")
		e.finishJob(s, err)
		return
	}
	e.listen(s)
	e.finishJob(s, nil)
}

// listen watches the sockets, unless the service has them already.
func (e *Engine) listen(s *state) {
	if service := e.states[s.u.Activates()]; service != nil && up(service) {
		e.enter(s, "active", "running")
		return
	}
	e.enter(s, "active", "listening")
	e.kernel.Watch(s.u.Name)
}

// socketReady starts the service for a connection that waits.
func (e *Engine) socketReady(s *state) {
	if s.Sub != "listening" {
		return
	}
	e.enter(s, "active", "running")
	if err := e.Start(s.u.Activates(), nil); err != nil {
		e.kernel.Log(s.u.Name, 3, err.Error())
		e.pause(s)
	}
}

// activationPause keeps a service that cannot serve from being started for the
// same waiting connection over and over.
const activationPause = 2 * time.Second

func (e *Engine) pause(s *state) {
	e.enter(s, "active", "listening")
	e.arm(s, activationPause)
}

// quickExit is a life so short that the service cannot have served.
const quickExit = 50 * time.Millisecond

// rewatch gives sockets back their watch and timers their next turn after a
// service has ended.
func (e *Engine) rewatch(service *state) {
	for _, name := range e.graph.ActivatedBy(service.u.Name) {
		a := e.states[name]
		switch {
		case a == nil || a.Active != "active" || a.job != nil:
		case a.u.Kind == units.KindTimer:
			e.schedule(a)
		case service.Active == "failed" || e.now()-service.StartedUS < quickExit.Microseconds():
			e.pause(a)
		default:
			e.listen(a)
		}
	}
}

func (e *Engine) startTimer(s *state) {
	s.StartedUS, s.FiredUS = e.now(), 0
	e.enter(s, "active", "waiting")
	e.schedule(s)
	e.finishJob(s, nil)
}

// schedule arms a timer for its next elapse (systemd.timer(5)).
func (e *Engine) schedule(s *state) {
	service := e.states[s.u.Activates()]
	if service == nil {
		s.Result, s.Error = "resources", fmt.Sprintf("unit %q does not exist", s.u.Activates())
		e.enter(s, "failed", "failed")
		return
	}
	if up(service) && service.Sub != "auto-restart" {
		e.disarm(s)
		e.enter(s, "active", "running")
		return
	}
	next, ok := nextElapse(s.u.Timer.Triggers, elapseBases{
		active: s.StartedUS, fired: s.FiredUS, unitActive: service.StartedUS, unitInactive: service.EndedUS,
	})
	if !ok {
		e.disarm(s)
		e.enter(s, "active", "elapsed")
		return
	}
	e.enter(s, "active", "waiting")
	e.arm(s, max(time.Duration(next)*time.Microsecond-e.kernel.Now(), 0))
}

// elapseBases are the moments that triggers count from, µs since power-on; 0 is never.
type elapseBases struct {
	active, fired, unitActive, unitInactive int64
}

// nextElapse is the earliest elapse of a timer; false if there is none left.
func nextElapse(triggers []units.Trigger, b elapseBases) (int64, bool) {
	next, found := int64(0), false
	for _, t := range triggers {
		at, ok := elapseOf(t, b)
		if ok && (!found || at < next) {
			next, found = at, true
		}
	}
	return next, found
}

func elapseOf(t units.Trigger, b elapseBases) (int64, bool) {
	d := t.Delay.Microseconds()
	switch t.Base {
	case "OnBootSec":
		return d, b.fired == 0 || d > b.fired
	case "OnActiveSec":
		return b.active + d, b.active+d > b.fired
	}
	from := b.unitActive
	if t.Base == "OnUnitInactiveSec" {
		from = b.unitInactive
	}
	if from == 0 {
		return 0, false
	}
	if from+d <= b.fired { // the start it counts on did not happen: from the last try
		from = b.fired
	}
	return from + d, true
}

// elapse starts the timer's unit.
func (e *Engine) elapse(s *state) {
	s.FiredUS = e.now()
	e.enter(s, "active", "running")
	if err := e.Start(s.u.Activates(), nil); err != nil {
		e.kernel.Log(s.u.Name, 3, err.Error())
		e.schedule(s)
	}
}
