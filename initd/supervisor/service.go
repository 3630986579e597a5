package supervisor

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"time"

	"github.com/ingot-os/ingot/units"
)

const (
	groupPoll = 20 * time.Millisecond // between looks at a group that has to empty
	killWait  = 10 * time.Second      // after SIGKILL; a process in the kernel's hands is left to it
)

// startService begins an invocation.
func (e *Engine) startService(s *state) {
	e.disarm(s)
	if !e.withinStartLimit(s) {
		s.Error = fmt.Sprintf("more than %d starts in %s", s.u.StartLimitBurst, s.u.StartLimitInterval)
		e.settle(s, "start-limit-hit")
		return
	}
	s.Invocation, s.Step, s.StartedUS, s.ActiveUS = newInvocation(), 0, e.now(), 0
	s.MainPID, s.ControlPID, s.StopBy = 0, 0, 0
	e.enter(s, "activating", "start-pre")
	if err := e.kernel.Prepare(s.u, s.Invocation); err != nil {
		s.Error = err.Error()
		e.ended(s, "resources")
		return
	}
	e.arm(s, s.u.Service.TimeoutStart)
	e.advance(s)
}

// withinStartLimit counts a start against StartLimitIntervalSec= and Burst=.
func (e *Engine) withinStartLimit(s *state) bool {
	now, interval := e.now(), s.u.StartLimitInterval
	if interval == 0 || s.u.StartLimitBurst == 0 {
		return true
	}
	recent := s.Starts[:0]
	for _, t := range s.Starts {
		if interval == units.Forever || now-t < interval.Microseconds() {
			recent = append(recent, t)
		}
	}
	s.Starts = recent
	if len(recent) >= s.u.StartLimitBurst {
		return false
	}
	s.Starts = append(s.Starts, now)
	return true
}

// advance runs the next command of the present list, or goes on to what follows it.
func (e *Engine) advance(s *state) {
	list, next := e.phase(s)
	if s.Step >= len(list) {
		s.Step = 0
		next(s)
		return
	}
	e.spawnControl(s, list[s.Step])
}

func (e *Engine) phase(s *state) ([]units.Command, func(*state)) {
	switch s.Sub {
	case "start-pre":
		return s.u.Service.ExecStartPre, e.startMain
	case "start-post":
		return s.u.Service.ExecStartPost, e.started
	}
	return s.u.Service.ExecStop, func(s *state) { e.terminate(s, "") } // stop
}

func (e *Engine) spawnControl(s *state, c units.Command) {
	s.ControlPID = spawning
	e.dirty = true
	e.flush()
	pid, err := e.kernel.Start(Start{Unit: s.u, Invocation: s.Invocation, Command: c, MainPID: s.MainPID})
	s.ControlPID = max(pid, 0)
	e.dirty = true
	if err != nil {
		s.ControlPID = 0
		s.Error = err.Error()
		e.controlEnded(s, c.IgnoreFail, "exec")
	}
}

// startMain runs ExecStart=, command by command for a oneshot.
func (e *Engine) startMain(s *state) {
	e.enter(s, "activating", "start")
	s.MainPID = spawning
	e.flush()
	pid, err := e.kernel.Start(Start{
		Unit: s.u, Invocation: s.Invocation, Command: s.u.Service.ExecStart[s.Step], Sockets: e.sockets(s), Main: true,
	})
	s.MainPID = max(pid, 0)
	e.dirty = true
	if err != nil {
		s.MainPID = 0
		s.Error = err.Error()
		e.terminate(s, "exec")
		return
	}
	e.spawned(s)
}

// spawned goes on for types that count as started once their program runs.
func (e *Engine) spawned(s *state) {
	if t := s.u.Service.Type; t == "simple" || t == "exec" {
		e.startPost(s)
	}
}

func (e *Engine) startPost(s *state) {
	s.Step = 0
	e.enter(s, "activating", "start-post")
	e.advance(s)
}

// sockets are the active socket units that the service takes over.
func (e *Engine) sockets(s *state) []string {
	var out []string
	for _, name := range e.graph.ActivatedBy(s.u.Name) {
		if a := e.states[name]; a != nil && a.u.Kind == units.KindSocket && a.Active == "active" {
			out = append(out, name)
			e.kernel.Unwatch(name)
			e.disarm(a)
			e.enter(a, "active", "running")
		}
	}
	return out
}

// started: all of ExecStart= and ExecStartPost= is done.
func (e *Engine) started(s *state) {
	e.disarm(s)
	switch {
	case s.MainPID > 0:
		e.enter(s, "active", "running")
	case s.u.Service.RemainAfterExit:
		e.enter(s, "active", "exited")
	default:
		e.finishJob(s, nil)
		e.beginStop(s)
		return
	}
	e.finishJob(s, nil)
}

// exited takes the end of a process of the present invocation.
func (e *Engine) exited(s *state, ev Event) {
	if ev.Invocation != s.Invocation || ev.PID <= 0 {
		return
	}
	result := e.judge(s, ev)
	switch ev.PID {
	case s.MainPID:
		s.MainPID = 0
		e.mainEnded(s, result)
	case s.ControlPID:
		list, _ := e.phase(s)
		ignore := s.Step < len(list) && list[s.Step].IgnoreFail
		s.ControlPID = 0
		if stopping(s) && s.Sub != "stop" {
			e.checkGone(s)
			return
		}
		e.controlEnded(s, ignore, result)
	}
	e.dirty = true
}

// judge turns an exit status into systemd's result words; "" is success.
func (e *Engine) judge(s *state, ev Event) string {
	ws := ev.Status
	switch {
	case ev.Lost:
		s.Error = "ended while no supervisor was there to see it"
		return "exit-code"
	case ws.Signaled() && ws.CoreDump():
		s.Error = "killed by " + ws.Signal().String()
		return "core-dump"
	case ws.Signaled():
		// systemd.service(5), SuccessExitStatus=: these are clean ends, but not for a oneshot.
		if sig := ws.Signal(); s.u.Service.Type != "oneshot" &&
			(sig == syscall.SIGHUP || sig == syscall.SIGINT || sig == syscall.SIGTERM || sig == syscall.SIGPIPE) {
			return ""
		}
		if !stopping(s) {
			s.Error = "killed by " + ws.Signal().String()
		}
		return "signal"
	case ws.ExitStatus() != 0:
		s.Error = fmt.Sprintf("exit status %d", ws.ExitStatus())
		return "exit-code"
	}
	return ""
}

func stopping(s *state) bool { return s.Active == "deactivating" }

func (e *Engine) mainEnded(s *state, result string) {
	oneshot := s.u.Service.Type == "oneshot"
	switch {
	case stopping(s):
		if s.Sub != "stop" { // ExecStop= goes on, terminate will look
			e.checkGone(s)
		}
	case s.Sub == "start" && oneshot:
		e.oneshotStep(s, result)
	case s.Sub == "start" && result == "": // Type=notify that never said READY=1
		s.Error = "ended before it said READY=1"
		e.terminate(s, "protocol")
	case result != "":
		e.terminate(s, result)
	case s.Sub == "start-post":
	case s.u.Service.RemainAfterExit:
		e.enter(s, "active", "exited")
	default:
		e.beginStop(s)
	}
}

func (e *Engine) oneshotStep(s *state, result string) {
	if result != "" && !s.u.Service.ExecStart[s.Step].IgnoreFail {
		e.terminate(s, result)
		return
	}
	s.Error = ""
	if s.Step++; s.Step < len(s.u.Service.ExecStart) {
		e.startMain(s)
		return
	}
	e.startPost(s)
}

func (e *Engine) controlEnded(s *state, ignore bool, result string) {
	if result != "" && !ignore {
		e.terminate(s, result)
		return
	}
	s.Error = ""
	s.Step++
	e.advance(s)
}

// notified takes sd_notify(3) messages.
func (e *Engine) notified(s *state, ev Event) {
	if ev.Invocation != s.Invocation || s.u.Service.NotifyAccess == "none" {
		return
	}
	if s.u.Service.NotifyAccess == "main" && ev.PID != s.MainPID {
		return
	}
	for line := range strings.SplitSeq(ev.Text, "\n") {
		switch key, value, _ := strings.Cut(line, "="); {
		case key == "READY" && value == "1" && s.Sub == "start" && s.u.Service.Type == "notify":
			e.startPost(s)
		case key == "ERRNO" || key == "STATUS":
			e.kernel.Log(s.u.Name, 6, "status: "+value)
		}
	}
}

// stopService is a stop or restart job.
func (e *Engine) stopService(s *state) {
	switch {
	case s.Sub == "auto-restart":
		e.disarm(s)
		e.enter(s, "inactive", "dead")
		e.rewatch(s)
		e.stopped(s)
	case stopping(s): // already on its way; ended will see the job
	case s.Active == "active":
		e.beginStop(s)
	default:
		e.terminate(s, "")
	}
}

// beginStop runs ExecStop=, which belongs to services that had started.
func (e *Engine) beginStop(s *state) {
	s.Step = 0
	e.enter(s, "deactivating", "stop")
	e.arm(s, s.u.Service.TimeoutStop)
	e.advance(s)
}

// terminate signals what is left, by KillMode=. The first bad result stays.
func (e *Engine) terminate(s *state, result string) {
	if s.Result == "" {
		s.Result = result
	}
	e.enter(s, "deactivating", "stop-sigterm")
	svc := &s.u.Service
	sig := syscall.Signal(svc.KillSignal)
	switch svc.KillMode {
	case "control-group":
		e.kernel.SignalGroup(s.u.Name, s.Invocation, sig)
	case "mixed", "process":
		e.signalOwn(s, sig)
	}
	s.StopBy = later(e.kernel.Now(), svc.TimeoutStop)
	e.checkGone(s)
}

func later(now, d time.Duration) time.Duration {
	if d > units.Forever-now {
		return units.Forever
	}
	return now + d
}

func (e *Engine) signalOwn(s *state, sig syscall.Signal) {
	for _, pid := range []int{s.MainPID, s.ControlPID} {
		if pid > 0 {
			e.kernel.Signal(pid, sig)
		}
	}
}

// checkGone ends the invocation once nothing of it is left that KillMode= counts.
func (e *Engine) checkGone(s *state) {
	mode := s.u.Service.KillMode
	own := s.MainPID > 0 || s.ControlPID > 0
	switch {
	case mode == "none", mode == "process" && !own:
		e.ended(s, s.Result)
		return
	case !own && len(e.kernel.PIDs(s.u.Name, s.Invocation)) == 0:
		e.ended(s, s.Result)
		return
	case !own && mode == "mixed":
		e.kernel.KillGroup(s.u.Name, s.Invocation)
	}
	wait := s.StopBy - e.kernel.Now()
	if !own {
		wait = min(wait, groupPoll)
	}
	e.arm(s, max(wait, 0))
}

func (e *Engine) serviceTimeout(s *state) {
	switch {
	case s.Sub == "auto-restart":
		e.restartNow(s)
	case s.Sub == "stop":
		s.Error = "ExecStop= timed out"
		e.terminate(s, "timeout")
	case stopping(s) && e.kernel.Now() >= s.StopBy:
		e.stopTimeout(s)
	case stopping(s):
		e.checkGone(s)
	default: // start-pre, start, start-post
		s.Error = fmt.Sprintf("not started after %s", s.u.Service.TimeoutStart.Round(time.Second))
		e.terminate(s, "timeout")
	}
}

func (e *Engine) stopTimeout(s *state) {
	if s.Sub == "final-sigkill" { // not even that: forget it
		e.ended(s, "timeout")
		return
	}
	e.kernel.Log(s.u.Name, 4, "did not end in time, killing it")
	if s.Result == "" {
		s.Result = "timeout"
	}
	e.enter(s, "deactivating", "final-sigkill")
	e.signalOwn(s, syscall.SIGKILL)
	if s.u.Service.KillMode != "process" {
		e.kernel.KillGroup(s.u.Name, s.Invocation)
	}
	s.StopBy = e.kernel.Now() + killWait
	e.checkGone(s)
}

// ended: the invocation is over.
func (e *Engine) ended(s *state, result string) {
	e.disarm(s)
	e.kernel.Cleanup(s.u, s.Invocation)
	s.MainPID, s.ControlPID = 0, 0
	e.settle(s, result)
}

// settle decides what a service becomes after an invocation.
func (e *Engine) settle(s *state, result string) {
	s.Result = result
	asked := s.job != nil && s.job.kind != jobStart || e.stopping != ""
	if asked || !restarts(s.u.Service.Restart, result) {
		e.rest(s, asked)
		return
	}
	failure := fmt.Errorf("start %s: %s", s.u.Name, orResult(s))
	if s.job != nil && s.u.Service.RestartMode != "direct" {
		e.enter(s, "failed", "failed")
		e.finishJob(s, failure)
	} else if result != "" {
		e.kernel.Log(s.u.Name, 4, "ended: "+orResult(s)+"; starting it again")
	}
	e.enter(s, "activating", "auto-restart")
	e.arm(s, e.restartDelay(s))
	e.boundStop(s)
}

func restarts(policy, result string) bool {
	if result == "start-limit-hit" {
		return false
	}
	return policy == "always" || policy == "on-success" && result == "" || policy == "on-failure" && result != ""
}

// rest leaves a service inactive or failed and ends its job.
func (e *Engine) rest(s *state, asked bool) {
	if s.Result == "" || asked && s.Result != "timeout" {
		s.Result, s.Error = "", ""
		e.enter(s, "inactive", "dead")
	} else {
		e.enter(s, "failed", "failed")
	}
	e.boundStop(s)
	e.rewatch(s)
	switch {
	case s.job == nil:
	case asked && s.job.kind != jobStart:
		e.stopped(s)
	case s.Active == "failed":
		e.finishJob(s, errors.New("start "+s.u.Name+": "+orResult(s)))
	default:
		e.finishJob(s, nil)
	}
}

// boundStop stops the units that are bound to one that ended.
func (e *Engine) boundStop(s *state) {
	for _, name := range e.graph.BoundBy(s.u.Name) {
		if b := e.states[name]; b != nil && b.Active == "active" {
			e.wantStop(b, jobStop)
		}
	}
}

// steady is how long a service has to run for its back-off to start anew.
const steady = time.Minute

// restartDelay is RestartSec=, growing to RestartMaxDelaySec= in RestartSteps=
// steps (systemd.service(5)): delay(n) = sec * (max/sec)^(n/steps).
func (e *Engine) restartDelay(s *state) time.Duration {
	svc := &s.u.Service
	if s.ActiveUS > 0 && e.now()-s.ActiveUS > steady.Microseconds() {
		s.Streak = 0
	}
	if svc.RestartSteps == 0 || svc.RestartMaxDelay == units.Forever || svc.RestartDelay <= 0 || svc.RestartMaxDelay <= svc.RestartDelay {
		return svc.RestartDelay
	}
	n := float64(min(s.Streak, svc.RestartSteps)) / float64(svc.RestartSteps)
	growth := math.Pow(float64(svc.RestartMaxDelay)/float64(svc.RestartDelay), n)
	return time.Duration(float64(svc.RestartDelay) * growth)
}

func (e *Engine) restartNow(s *state) {
	s.Restarts++
	s.Streak++
	s.Result, s.Error = "", ""
	if s.job == nil {
		s.job = &job{kind: jobStart}
	}
	s.job.running = false // wait again for what it is ordered after
	e.dirty = true
}
