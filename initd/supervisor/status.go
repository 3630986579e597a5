package supervisor

import (
	"context"
	"syscall"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/units"
)

// do runs f in the loop and waits for it.
func (e *Engine) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case e.events <- Event{Kind: EventCall, Call: func() { f(); close(done) }}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Units lists all units, those that could not be loaded included.
func (e *Engine) Units(ctx context.Context) ([]api.UnitStatus, error) {
	var out []api.UnitStatus
	err := e.do(ctx, func() {
		for _, name := range e.sortedNames() {
			out = append(out, e.states[name].status())
		}
		for name, err := range e.set.Errors {
			out = append(out, api.UnitStatus{Unit: name, Load: "error", Active: "failed", Sub: "failed", Error: err.Error()})
		}
	})
	return out, err
}

// Unit is one unit.
func (e *Engine) Unit(ctx context.Context, name string) (api.UnitStatus, error) {
	var st api.UnitStatus
	var failure error
	err := e.do(ctx, func() {
		if failure = e.exists(name); failure == nil {
			st = e.states[name].status()
		}
	})
	if err == nil {
		err = failure
	}
	return st, err
}

func (s *state) status() api.UnitStatus {
	st := api.UnitStatus{
		Unit: s.u.Name, Description: s.u.Description, Load: "loaded", Active: s.Active, Sub: s.Sub, Result: s.Result,
		MainPID: max(s.MainPID, 0), Restarts: s.Restarts, Invocation: s.Invocation, Since: s.Since,
		StartedUS: s.StartedUS, ActiveUS: s.ActiveUS, Error: s.Error,
	}
	if s.Result == "" && s.Invocation != "" {
		st.Result = "success"
	}
	for _, w := range s.u.Warnings {
		st.Warnings = append(st.Warnings, w.String())
	}
	return st
}

// Act is start, stop or restart. With wait it returns when the job has ended.
func (e *Engine) Act(ctx context.Context, name, verb string, wait bool) (api.UnitStatus, error) {
	act := map[string]func(string, func(error)) error{jobStart: e.Start, jobStop: e.Stop, jobRestart: e.Restart}[verb]
	if act == nil {
		return api.UnitStatus{}, api.Errorf(api.KindNotFound, "verb %q is none of start, stop, restart", verb)
	}
	ended := make(chan error, 1)
	var refused error
	if err := e.do(ctx, func() { refused = act(name, func(err error) { ended <- err }) }); err != nil || refused != nil {
		return api.UnitStatus{}, first(refused, err)
	}
	if wait {
		select {
		case err := <-ended:
			if err != nil {
				return api.UnitStatus{}, api.Errorf(api.KindConflict, "%v", err).WithHint("ingot log show %s", name)
			}
		case <-ctx.Done():
			return api.UnitStatus{}, ctx.Err()
		}
	}
	return e.Unit(ctx, name)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Kill signals the main process of a service.
func (e *Engine) Kill(ctx context.Context, name string, sig int) error {
	var failure error
	err := e.do(ctx, func() {
		s := e.states[name]
		switch {
		case s == nil || s.u.Kind != units.KindService:
			failure = api.Errorf(api.KindNotFound, "service %q does not exist", name)
		case s.MainPID <= 0:
			failure = api.Errorf(api.KindConflict, "%s has no main process: it is %s (%s)", name, s.Active, s.Sub)
		default:
			e.kernel.Signal(s.MainPID, syscall.Signal(sig))
		}
	})
	return first(failure, err)
}

// PowerOff stops everything and the machine; it returns when the stop has begun.
func (e *Engine) PowerOff(ctx context.Context, action string) error {
	var failure error
	err := e.do(ctx, func() { failure = e.Power(action) })
	return first(failure, err)
}
