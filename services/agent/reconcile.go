package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
)

// situation is all that reconcile looks at.
type situation struct {
	Desired  []api.Alloc
	Observed map[string]api.AllocStatus // has a container
	Settled  map[string]bool            // ended and noted: never started again
	Doomed   map[string]bool            // to be ended although desired
	Busy     map[string]bool            // a worker is on it
	NotUntil map[string]time.Time       // after an effect that failed
}

type verb string

const (
	doStart  verb = "start"
	doStop   verb = "stop"
	doRemove verb = "remove"
	doSettle verb = "settle" // note how it ended
)

// action is one thing to do now.
type action struct {
	Do verb
	ID string
}

// reconcile compares what should run with what does:
//
//	desired  observed      -> action
//	yes      nothing          start, unless settled
//	yes      TASK_STAGING     start: left by a crash or an earlier boot
//	yes      TASK_RUNNING     nothing; stop if doomed
//	yes      terminal         settle; once settled, remove
//	no       TASK_RUNNING     stop
//	no       otherwise        remove
//
// Whatever a worker is busy with, or has just failed to do, waits.
func reconcile(s situation, now time.Time) []action {
	var todo []action
	add := func(v verb, id string) {
		if v != "" && !s.Busy[id] && !now.Before(s.NotUntil[id]) {
			todo = append(todo, action{v, id})
		}
	}
	desired := map[string]bool{}
	for _, a := range s.Desired {
		if desired[a.ID] {
			continue // the scheduler erred: an id is one instance
		}
		desired[a.ID] = true
		add(s.wanted(a.ID), a.ID)
	}
	for id, o := range s.Observed {
		if !desired[id] {
			add(unwanted(o), id)
		}
	}
	slices.SortStableFunc(todo, func(a, b action) int { return strings.Compare(a.ID, b.ID) })
	return todo
}

func (s situation) wanted(id string) verb {
	o, there := s.Observed[id]
	switch {
	case there && o.State == api.TaskRunning && (s.Doomed[id] || s.Settled[id]):
		return doStop
	case there && o.State == api.TaskRunning:
		return ""
	case there && s.Settled[id]:
		return doRemove
	case there && o.State.Terminal():
		return doSettle
	case s.Settled[id]:
		return ""
	}
	return doStart
}

func unwanted(o api.AllocStatus) verb {
	if o.State == api.TaskRunning {
		return doStop
	}
	return doRemove
}
