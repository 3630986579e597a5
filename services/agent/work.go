package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/ingot-os/ingot/api"
)

// act begins an action in a worker of its own.
func (l *loop) act(ctx context.Context, act action, seen api.AllocStatus) {
	a := l.allocs[act.ID]
	if act.Do == doSettle {
		l.settle(act.ID, seen)
		act.Do = doRemove
	}
	if act.Do == doStart {
		l.board.set(api.AllocStatus{ID: act.ID, State: api.TaskStaging})
	}
	if act.Do == doStop {
		l.unprobe(act.ID)
	}
	ctx, stop := context.WithCancel(ctx)
	l.busy[act.ID] = worker{act.Do, stop}
	l.wg.Go(func() {
		err := l.effect(ctx, act, a)
		l.done <- outcome{act, err}
	})
}

func (l *loop) effect(ctx context.Context, act action, a api.Alloc) error {
	switch act.Do {
	case doStart:
		return l.rt.Start(ctx, a)
	case doStop:
		if err := l.rt.Stop(ctx, act.ID, grace(a)); err != nil {
			return err
		}
	}
	return l.rt.Remove(ctx, act.ID)
}

func grace(a api.Alloc) time.Duration {
	if a.KillGraceSeconds <= 0 {
		return defaultGrace
	}
	return time.Duration(a.KillGraceSeconds * float64(time.Second))
}

// finish takes a worker's outcome into the state.
func (l *loop) finish(o outcome) {
	l.busy[o.ID].stop()
	delete(l.busy, o.ID)
	delete(l.notUntil, o.ID)
	switch {
	case o.Do == doStart:
		l.started(o)
	case o.err != nil:
		slog.Warn("end an instance; trying again", "do", o.Do, "task", o.ID, "err", o.err)
		l.notUntil[o.ID] = time.Now().Add(again)
	case o.Do == doStop:
		l.stopped(o.ID)
	}
}

func (l *loop) started(o outcome) {
	switch {
	case o.err == nil: // the next look sees it run
	case !l.wanted(o.ID):
		l.settle(o.ID, api.AllocStatus{ID: o.ID, State: api.TaskKilled, Message: "no longer wanted before it ran"})
	case api.KindOf(o.err) == api.KindUnavailable:
		l.notUntil[o.ID] = time.Now().Add(again)
		l.board.set(api.AllocStatus{ID: o.ID, State: api.TaskStaging, Message: o.err.Error()})
	default:
		slog.Warn("start an instance", "task", o.ID, "err", o.err)
		l.settle(o.ID, api.AllocStatus{ID: o.ID, State: api.TaskFailed, Message: o.err.Error()})
	}
}

// stopped says why an instance was ended: doomed by its health, or not wanted.
func (l *loop) stopped(id string) {
	st := l.board.status(id)
	st.ID, st.Healthy = id, nil
	st.State, st.Message = api.TaskKilled, "killed: no longer wanted"
	if why, ok := l.doomed[id]; ok && l.wanted(id) {
		st.State, st.Message = api.TaskFailed, why
	}
	delete(l.doomed, id)
	if !l.board.settled()[id] {
		l.settle(id, st)
	}
}

func (l *loop) wanted(id string) bool {
	for _, a := range l.desired.Allocs {
		if a.ID == id {
			return true
		}
	}
	return false
}

// settle notes an end, on disk too: the instance must not start again, not even
// after a power cut.
func (l *loop) settle(id string, st api.AllocStatus) {
	l.unprobe(id)
	if st.UpdatedAt.IsZero() {
		st.UpdatedAt = time.Now().UTC()
	}
	if err := l.files.keepSettled(st); err != nil {
		slog.Error("note how an instance ended", "task", id, "err", err)
	}
	l.board.set(st)
}
