// Package agent keeps a node running what the cluster wants on it.
//
// It owns the node's desired state (Data/allocs.json, written before it is acted
// upon), the comparison with what runs, health checks, and the reports to the
// masters. It refuses to know how a container is made (Runtime) and what should
// run where (the scheduler).
//
// The agent is level-triggered: each AllocSet replaces the one before it, and
// reconcile, a pure function, says what is to be done now. At its start it acts
// on the set from disk before any master has answered. An instance that has
// ended is never started again under the same id: the scheduler sends another.
// Starting, stopping or killing the agent does not touch what runs.
//
// Goroutines: the loop (Run's own) owns all state; one worker per running start,
// stop or removal; one prober per health check; one session with a master. All
// end before Run returns.
package agent

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/serve"
)

// Runtime runs instances. Errors of KindUnavailable are tried again; any other
// error of Start fails the instance. All calls are idempotent.
type Runtime interface {
	// Start runs an instance; it returns nil if that runs already.
	Start(ctx context.Context, a api.Alloc) error
	// Stop ends an instance, by force after grace.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Remove takes away what is left of an instance, except its logs.
	Remove(ctx context.Context, id string) error
	// List says how every instance with a container fares: TASK_RUNNING,
	// terminal, or TASK_STAGING for one that did not run in this boot.
	List(ctx context.Context) ([]api.AllocStatus, error)
	// Exec runs a command in an instance and returns its exit status.
	Exec(ctx context.Context, id string, args []string) (int, error)
	// Changed hints that List may have news.
	Changed() <-chan struct{}
	Close() error
}

// Open makes the runtime; data is the agent's folder.
type Open func(data string, id *identity.Source) (Runtime, error)

// Run is the component: it returns when ctx ends.
func Run(ctx context.Context, args []string, open Open) error {
	f := flag.NewFlagSet("agent", flag.ContinueOnError)
	dir := f.String("identity", identity.NodeDir, "folder of the node's certificate and node.json")
	data := f.String("data", "/var/lib/ingot/agent", "desired state and the tasks' folders")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	id := &identity.Source{Dir: *dir}
	node, err := id.Node()
	if err != nil {
		return err
	}
	rt, err := open(*data, id)
	if err != nil {
		return err
	}
	defer rt.Close()
	return run(ctx, node, id, *data, rt)
}

func run(ctx context.Context, node api.NodeIdentity, id *identity.Source, data string, rt Runtime) error {
	inv, err := inventory(node, data)
	if err != nil {
		return err
	}
	client, err := id.HTTPClient()
	if err != nil {
		return err
	}
	l := newLoop(node, rt, folder(data))
	l.restore()
	s := &session{inventory: inv, masters: node.Masters, client: client, board: l.board, sets: l.sets}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.run(ctx) })
	serve.Notify("READY=1")
	l.run(ctx)
	serve.Notify("STOPPING=1")
	stop()
	wg.Wait()
	return nil
}
