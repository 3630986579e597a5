package runtime

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

// List says what every task that has a container is doing. While containerd
// does not answer, it is containerd's last answer together with the exits that
// shims have told since; before the first answer it is a KindUnavailable.
//
// TASK_STAGING says that a container is there whose process never ran in this
// boot: Start again or Remove.
func (r *Runtime) List(ctx context.Context) ([]api.AllocStatus, error) {
	ctx, cancel := context.WithTimeout(r.namespaced(ctx), 10*time.Second)
	defer cancel()
	list, err := r.ask(ctx)
	if err == nil {
		r.mu.Lock()
		r.known, r.heard = list, true
		r.mu.Unlock()
		return list, nil
	}
	r.mu.Lock()
	last, heard := slices.Clone(r.known), r.heard
	r.mu.Unlock()
	if !heard || api.KindOf(err) != api.KindUnavailable {
		return nil, err
	}
	for i := range last {
		if rec, ok, err := r.record(last[i].ID); err == nil && ok && rec.Exit != nil {
			last[i] = rec.status()
		}
	}
	return last, nil
}

func (r *Runtime) ask(ctx context.Context) ([]api.AllocStatus, error) {
	containers, err := r.client.Containers(ctx, "labels."+`"`+labelTask+`"`)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", asKind(err))
	}
	list := make([]api.AllocStatus, 0, len(containers))
	for _, c := range containers {
		st, err := r.observe(ctx, c)
		if errdefs.IsNotFound(err) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("look at container %s: %w", c.ID(), asKind(err))
		}
		list = append(list, st)
	}
	return list, nil
}

func (r *Runtime) observe(ctx context.Context, c client.Container) (api.AllocStatus, error) {
	labels, err := c.Labels(ctx)
	if err != nil {
		return api.AllocStatus{}, err
	}
	rec, ok, err := r.record(labels[labelTask])
	if err != nil {
		return api.AllocStatus{}, err
	}
	process := client.Status{Status: client.Unknown}
	t, err := c.Task(ctx, nil)
	if err == nil {
		process, err = t.Status(ctx)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return api.AllocStatus{}, err
	}
	if !ok {
		rec = Record{ID: labels[labelTask], Container: c.ID()}
	}
	return r.judge(rec, process), nil
}

// judge puts record and process together, and takes up the wait for a process
// that nobody waits for: that is adoption after a restart.
func (r *Runtime) judge(rec Record, p client.Status) api.AllocStatus {
	st, exit := conclude(rec, p, r.boot, oomKilled)
	if exit != nil {
		if err := r.ended(rec, *exit); err != nil {
			st.Message += "; " + err.Error()
		}
	}
	if st.State == api.TaskRunning {
		r.wait(rec)
	}
	return st
}

// conclude is judge's decision: the status, and an exit to note where the
// record has none.
func conclude(rec Record, p client.Status, boot string, oom func(id string) bool) (api.AllocStatus, *Exit) {
	staging := api.AllocStatus{ID: rec.ID, State: api.TaskStaging}
	switch {
	case rec.Exit != nil:
		return rec.status(), nil
	case p.Status == client.Running || p.Status == client.Paused || p.Status == client.Pausing:
		return rec.status(), nil
	case p.Status == client.Stopped && !rec.StartedAt.IsZero():
		rec.Exit = &Exit{Code: int(p.ExitStatus), At: p.ExitTime.UTC(), OOM: oom(rec.ID)}
		return rec.status(), rec.Exit
	case p.Status == client.Unknown && rec.Boot == boot:
		st := rec.status()
		st.State, st.Message = api.TaskFailed, "ended while neither containerd nor the agent ran: its exit status is lost"
		return st, nil
	}
	return staging, nil
}

// status is the record in the agent's words.
func (rec Record) status() api.AllocStatus {
	st := api.AllocStatus{ID: rec.ID, State: api.TaskRunning, StartedAt: rec.StartedAt, IP: rec.IP}
	if rec.Exit == nil {
		return st
	}
	st.ExitCode, st.UpdatedAt = rec.Exit.Code, rec.Exit.At
	switch {
	case rec.Exit.OOM:
		st.State, st.Message = api.TaskFailed, "memory limit exceeded: killed by the kernel"
	case rec.Exit.Code == 0:
		st.State, st.Message = api.TaskFinished, "finished"
	case rec.Exit.Code > 128:
		st.State, st.Message = api.TaskFailed, "killed by "+signalName(rec.Exit.Code-128)
	default:
		st.State, st.Message = api.TaskFailed, fmt.Sprintf("exited with status %d", rec.Exit.Code)
	}
	return st
}

func signalName(n int) string {
	if s := unix.SignalName(syscall.Signal(n)); s != "" {
		return s
	}
	return fmt.Sprintf("signal %d", n)
}

// Sweep takes away networks that no container owns.
func (r *Runtime) Sweep(ctx context.Context) (int, error) {
	containers, err := r.client.Containers(r.namespaced(ctx))
	if err != nil {
		return 0, fmt.Errorf("list containers: %w", asKind(err))
	}
	gone, err := r.net.Sweep(10*time.Minute, func(id string) bool {
		return slices.ContainsFunc(containers, func(c client.Container) bool { return c.ID() == id })
	})
	return len(gone), err
}
