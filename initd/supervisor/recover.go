package supervisor

import (
	"encoding/json"
	"fmt"
	"syscall"

	"github.com/ingot-os/ingot/units"
)

// Recover takes over from a supervisor that died: its snapshot, and the ends of
// services that PID 1 saw meanwhile, by pid. It runs before the loop.
func (e *Engine) Recover(snap []byte, exits map[int]syscall.WaitStatus) error {
	var old snapshot
	if err := json.Unmarshal(snap, &old); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	e.stopping = old.Stopping
	for name, sv := range old.Units {
		if e.exists(name) != nil {
			e.kernel.Log(name, 4, "unit is gone since the last supervisor")
			continue
		}
		s := e.states[name]
		s.saved = sv
		if sv.Job != "" {
			s.job = &job{kind: sv.Job, running: sv.JobRunning}
		}
	}
	for _, name := range e.sortedNames() {
		e.resume(e.states[name], exits)
	}
	e.dirty = true
	e.runJobs()
	e.flush()
	return nil
}

// resume brings one unit's timers, watches and processes back.
func (e *Engine) resume(s *state, exits map[int]syscall.WaitStatus) {
	if s.Deadline > 0 {
		e.arm(s, max(s.Deadline-e.kernel.Now(), 0))
	}
	switch s.u.Kind {
	case units.KindSocket:
		e.resumeSocket(s)
	case units.KindService:
		e.resumeService(s, exits)
	}
}

func (e *Engine) resumeSocket(s *state) {
	if s.Active != "active" {
		return
	}
	if err := e.kernel.Bind(s.u); err != nil {
		s.Result, s.Error = "resources", err.Error()
		e.enter(s, "failed", "failed")
		return
	}
	if s.Sub == "listening" && s.Deadline == 0 {
		e.kernel.Watch(s.u.Name)
	}
}

func (e *Engine) resumeService(s *state, exits map[int]syscall.WaitStatus) {
	for _, pid := range []*int{&s.MainPID, &s.ControlPID} {
		if *pid == spawning && !e.findSpawned(s, pid) {
			e.redo(s)
			return
		}
	}
	main, control := s.MainPID, s.ControlPID
	if s.Sub == "start" && main > 0 {
		e.spawned(s)
	}
	for _, pid := range []int{control, main} {
		e.resumeProcess(s, pid, exits)
	}
}

// findSpawned looks for a process that was forked after the last snapshot.
func (e *Engine) findSpawned(s *state, pid *int) bool {
	for _, p := range e.kernel.PIDs(s.u.Name, s.Invocation) {
		if p != s.MainPID && p != s.ControlPID {
			*pid = p
			return true
		}
	}
	return false
}

// redo starts an invocation anew whose process was never forked.
func (e *Engine) redo(s *state) {
	s.MainPID, s.ControlPID = max(s.MainPID, 0), max(s.ControlPID, 0)
	if stopping(s) {
		e.terminate(s, "")
		return
	}
	e.kernel.KillGroup(s.u.Name, s.Invocation)
	e.startService(s)
}

func (e *Engine) resumeProcess(s *state, pid int, exits map[int]syscall.WaitStatus) {
	if pid <= 0 {
		return
	}
	ws, ended := exits[pid]
	switch {
	case ended:
		e.exited(s, Event{Invocation: s.Invocation, PID: pid, Status: ws})
	case !e.kernel.Adopt(s.u.Name, s.Invocation, pid):
		e.exited(s, Event{Invocation: s.Invocation, PID: pid, Lost: true})
	}
}

// orphanExited takes the end of an adopted service, as PID 1 reports it.
func (e *Engine) orphanExited(pid int, ws syscall.WaitStatus) {
	for _, s := range e.states {
		if s.MainPID == pid || s.ControlPID == pid {
			e.exited(s, Event{Invocation: s.Invocation, PID: pid, Status: ws})
			return
		}
	}
}
