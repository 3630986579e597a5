package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/errdefs"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/runtime/bridge"
)

// Start runs an instance. One that runs already is left alone; what a crash or
// a reboot has left of it is cleared first.
func (r *Runtime) Start(ctx context.Context, a api.Alloc) error {
	ctx = r.namespaced(ctx)
	if !api.ValidTaskID(a.ID) {
		return api.Errorf(api.KindInvalid, "task id %q: letters, digits, '.', '_' and '-' only, at most 200", a.ID)
	}
	running, err := r.running(ctx, a.ID)
	if err != nil || running {
		return err
	}
	if err := r.Remove(ctx, a.ID); err != nil {
		return err
	}
	img, err := r.Pull(ctx, a.Image, a.Force)
	if err != nil {
		return err
	}
	if err := r.launch(ctx, a, img); err != nil {
		r.clear(ctx, a.ID)
		return fmt.Errorf("start %s: %w", a.ID, asKind(err))
	}
	r.hint()
	return nil
}

// clear undoes a half-done start; the start's own error is the one to report.
func (r *Runtime) clear(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := r.Remove(ctx, id); err != nil {
		slog.Warn("clear half-started task", "task", id, "err", err)
	}
}

func (r *Runtime) launch(ctx context.Context, a api.Alloc, img client.Image) error {
	if err := r.makeSandbox(a); err != nil {
		return err
	}
	lease, err := r.connectTask(a)
	if err != nil {
		return err
	}
	if err := r.writeHosts(a, lease); err != nil {
		return err
	}
	c, err := r.create(ctx, a, img, lease)
	if err != nil {
		return err
	}
	return r.startTask(ctx, a, c, lease)
}

// connectTask gives a task in bridge networking its network; in host networking
// there is none to give.
func (r *Runtime) connectTask(a api.Alloc) (*bridge.Lease, error) {
	if a.Network != "bridge" {
		return nil, nil
	}
	l, err := r.net.Attach(containerID(a.ID), a.Ports)
	return &l, err
}

func (r *Runtime) create(ctx context.Context, a api.Alloc, img client.Image, lease *bridge.Lease) (client.Container, error) {
	id := containerID(a.ID)
	runc := &options.Options{}
	if unified() {
		runc.ShimCgroup = shimCgroup
	}
	c, err := r.client.NewContainer(ctx, id,
		client.WithImage(img),
		client.WithNewSnapshot(id, img),
		client.WithContainerLabels(map[string]string{labelTask: a.ID}),
		client.WithRuntime(plugins.RuntimeRuncV2, runc),
		client.WithNewSpec(r.spec(a, img, lease)...))
	if err != nil {
		return nil, fmt.Errorf("create container: %w", err)
	}
	return c, nil
}

// startTask starts the process, with its exit already waited for.
func (r *Runtime) startTask(ctx context.Context, a api.Alloc, c client.Container, lease *bridge.Lease) error {
	t, err := c.NewTask(ctx, r.logs(a.ID))
	if err != nil {
		return fmt.Errorf("create task: %w", err)
	}
	rec := Record{ID: a.ID, Container: c.ID(), Boot: r.boot, PID: int(t.Pid()), StartedAt: time.Now().UTC()}
	if lease != nil {
		rec.IP = lease.IP.String()
	}
	// The record first: a task without one would be started a second time.
	if err := r.writeRecord(rec); err != nil {
		return err
	}
	r.wait(rec)
	if err := t.Start(ctx); err != nil {
		if ferr := r.forgetRecord(a.ID); ferr != nil {
			slog.Warn("forget task that did not start", "task", a.ID, "err", ferr)
		}
		return fmt.Errorf("run the task's command: %w", err)
	}
	return nil
}

// running tells whether the task's process is alive.
func (r *Runtime) running(ctx context.Context, id string) (bool, error) {
	t, err := r.task(ctx, id)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for task %s: %w", id, asKind(err))
	}
	st, err := t.Status(ctx)
	if err != nil {
		return false, fmt.Errorf("look for task %s: %w", id, asKind(err))
	}
	return st.Status == client.Running, nil
}

// task finds the process of a task, without attaching to its output.
func (r *Runtime) task(ctx context.Context, id string) (client.Task, error) {
	c, err := r.client.LoadContainer(ctx, containerID(id))
	if err != nil {
		return nil, err
	}
	return c.Task(ctx, nil)
}

// files is a task's output as two files that the shim itself opens for
// appending, so that neither agent nor containerd is in the way.
type files cio.Config

func (r *Runtime) logs(id string) cio.Creator {
	return func(string) (cio.IO, error) {
		return files{Stdout: r.sandbox(id, "stdout"), Stderr: r.sandbox(id, "stderr")}, nil
	}
}

func (f files) Config() cio.Config { return cio.Config(f) }
func (files) Cancel()              {}
func (files) Wait()                {}
func (files) Close() error         { return nil }
