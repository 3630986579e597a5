package runtime

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"

	"github.com/ingot-os/ingot/api"
)

// killWait is how long a killed task may take to be gone.
const killWait = 20 * time.Second

// Stop ends a task: SIGTERM, after grace SIGKILL to all its processes. It
// returns when the task has ended; one that does not run is no error.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	ctx = r.namespaced(ctx)
	t, err := r.task(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, asKind(err))
	}
	ended, err := t.Wait(ctx)
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, asKind(err))
	}
	if err := signal(ctx, t, ended, syscall.SIGTERM, grace); err == nil || !errors.Is(err, errStillRuns) {
		return stopError(id, err)
	}
	return stopError(id, signal(ctx, t, ended, syscall.SIGKILL, killWait, client.WithKillAll))
}

func stopError(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stop %s: %w", id, asKind(err))
}

var errStillRuns = errors.New("still runs after the signal")

func signal(ctx context.Context, t client.Task, ended <-chan client.ExitStatus, s syscall.Signal, patience time.Duration, opts ...client.KillOpts) error {
	if err := t.Kill(ctx, s, opts...); err != nil {
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case st := <-ended:
		return st.Error() // containerd went away: not an exit
	case <-timer.C:
		return errStillRuns
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Remove takes away container, snapshot and network of a task, killing what
// still runs. The sandbox with its logs stays; the record goes, but for one
// that says how the task ended.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	ctx = r.namespaced(ctx)
	if !api.ValidTaskID(id) {
		return api.Errorf(api.KindInvalid, "task id %q cannot be one", id)
	}
	if err := r.removeContainer(ctx, containerID(id)); err != nil {
		return fmt.Errorf("remove %s: %w", id, asKind(err))
	}
	if err := r.net.Detach(containerID(id)); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	rec, ok, err := r.record(id)
	if err == nil && ok && rec.Exit != nil {
		return nil
	}
	return r.forgetRecord(id)
}

func (r *Runtime) removeContainer(ctx context.Context, cid string) error {
	c, err := r.client.LoadContainer(ctx, cid)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := c.Task(ctx, nil)
	if err == nil {
		_, err = t.Delete(ctx, client.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if err := c.Delete(ctx, client.WithSnapshotCleanup); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}
