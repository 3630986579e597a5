package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	shim "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"
)

// wait holds a Wait call on the task's shim until the task has ended or the
// runtime closes. containerd's own answer is lost if it restarts meanwhile:
// "a task exits while containerd is dead" leaves it with nothing to tell.
func (r *Runtime) wait(rec Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[rec.Container] || r.ctx.Err() != nil {
		return
	}
	r.waiting[rec.Container] = true
	r.waits.Go(func() {
		defer r.waited(rec.Container)
		exit, err := r.shimExit(r.ctx, rec.Container)
		if err != nil {
			if r.ctx.Err() == nil {
				slog.Warn("wait for task's shim", "task", rec.ID, "err", err)
			}
			return
		}
		exit.OOM = oomKilled(rec.ID)
		if err := r.ended(rec, exit); err != nil {
			slog.Error("note task's exit", "task", rec.ID, "err", err)
		}
	})
}

// waited frees the place and lets the next List look at the task again.
func (r *Runtime) waited(container string) {
	r.mu.Lock()
	delete(r.waiting, container)
	r.mu.Unlock()
	r.hint()
}

// ended writes an exit into the task's record, if it is still this start's.
func (r *Runtime) ended(rec Record, e Exit) error {
	now, ok, err := r.record(rec.ID)
	if err != nil {
		return err
	}
	if !ok || now.Exit != nil || now.PID != rec.PID {
		return nil
	}
	now.Exit = &e
	return r.writeRecord(now)
}

// shimExit asks the shim itself; its address stands in the bundle.
func (r *Runtime) shimExit(ctx context.Context, container string) (Exit, error) {
	address, err := r.shimAddress(container)
	if err != nil {
		return Exit{}, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", strings.TrimPrefix(address, "unix://"))
	if err != nil {
		return Exit{}, fmt.Errorf("call shim: %w", err)
	}
	c := ttrpc.NewClient(conn)
	defer c.Close()
	resp, err := shim.NewTTRPCTaskClient(c).Wait(ctx, &shim.WaitRequest{ID: container})
	if err != nil {
		return Exit{}, fmt.Errorf("wait on shim: %w", err)
	}
	at := resp.GetExitedAt().AsTime()
	if at.Unix() <= 0 {
		at = time.Now().UTC()
	}
	return Exit{Code: int(resp.GetExitStatus()), At: at}, nil
}

func (r *Runtime) shimAddress(container string) (string, error) {
	path := filepath.Join(r.cfg.State, "io.containerd.runtime.v2.task", Namespace, container, "bootstrap.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("find shim: %w", err)
	}
	var boot struct {
		Address  string `json:"address"`
		Protocol string `json:"protocol"`
	}
	if err := json.Unmarshal(b, &boot); err != nil {
		return "", fmt.Errorf("find shim: %w", err)
	}
	if boot.Protocol != "ttrpc" || !strings.HasPrefix(boot.Address, "unix://") {
		return "", fmt.Errorf("find shim: speaks %s on %s, want ttrpc on a unix socket", boot.Protocol, boot.Address)
	}
	return boot.Address, nil
}
