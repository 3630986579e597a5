package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
)

// Exec runs a command inside a task's container and returns its exit status.
// Its output goes nowhere. When ctx ends the command is killed.
func (r *Runtime) Exec(ctx context.Context, id string, args []string) (int, error) {
	ctx = r.namespaced(ctx)
	t, err := r.task(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("run command in %s: %w", id, asKind(err))
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return 0, fmt.Errorf("run command in %s: %w", id, asKind(err))
	}
	process := *spec.Process
	process.Args, process.Terminal = args, false
	p, err := t.Exec(ctx, "x"+strings.ToLower(rand.Text()[:16]), &process, cio.NullIO)
	if err != nil {
		return 0, fmt.Errorf("run command in %s: %w", id, asKind(err))
	}
	defer discard(ctx, p)
	code, err := runProcess(ctx, p)
	if err != nil {
		return 0, fmt.Errorf("run command in %s: %w", id, asKind(err))
	}
	return code, nil
}

func runProcess(ctx context.Context, p client.Process) (int, error) {
	ended, err := p.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.Start(ctx); err != nil {
		return 0, err
	}
	select {
	case st := <-ended:
		code, _, err := st.Result()
		return int(code), err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// discard removes the process from its shim, whether it has ended or not.
func discard(ctx context.Context, p client.Process) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := p.Delete(ctx, client.WithProcessKill); err != nil {
		slog.Debug("discard command in a task", "err", err)
	}
}
