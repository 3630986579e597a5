package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

// nodeUnit is a unit, and the node it is on.
type nodeUnit struct {
	Node string `json:"node"`
	api.UnitStatus
}

func unitLs(fs *flag.FlagSet) action {
	node := fs.String("node", "", "only node `NAME`")
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		answers, err := each(ctx, k, *node, func(ctx context.Context, n *client.Node) ([]api.UnitStatus, error) { return n.Units(ctx) })
		if err != nil {
			return err
		}
		var units []nodeUnit
		var rows [][]string
		var failed []error
		for _, a := range answers {
			failed = append(failed, a.err)
			for _, u := range a.value {
				units = append(units, nodeUnit{a.node, u})
				rows = append(rows, unitRow(a.node, u))
			}
		}
		if err := c.show(list(units), "NODE UNIT ACTIVE SUB SINCE RESTARTS PSS", rows); err != nil {
			return err
		}
		return errors.Join(failed...)
	}
}

func unitRow(node string, u api.UnitStatus) []string {
	pss, restarts := "", ""
	if u.PssKB > 0 {
		pss = fmt.Sprintf("%d kB", u.PssKB)
	}
	if u.Restarts > 0 {
		restarts = fmt.Sprint(u.Restarts)
	}
	return []string{node, u.Unit, u.Active, u.Sub, ago(u.Since), restarts, pss}
}

func unitRestart(fs *flag.FlagSet) action {
	node := fs.String("node", "", "the node `NAME` (needed)")
	return func(ctx context.Context, c *call) error {
		if *node == "" {
			return usagef("unit restart needs --node NAME, as in: ingot unit restart agent.service --node a1")
		}
		k, err := c.cluster()
		if err != nil {
			return err
		}
		u, err := restart(ctx, k.Node(*node), c.args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "%s on %s is %s (%s)\n", u.Unit, *node, u.Active, u.Sub)
		return nil
	}
}

// restartPatience is how long a unit that carries this very call may be away.
const restartPatience = 20 * time.Second

// restart restarts a unit. One that the call itself passes through (the router,
// the node's API) cuts its own answer off: a new invocation is the answer then.
func restart(ctx context.Context, n *client.Node, id string) (api.UnitStatus, error) {
	before, err := n.Unit(ctx, id)
	if err != nil {
		return before, err
	}
	after, err := n.Act(ctx, id, client.Restart)
	if err == nil || stated(err) {
		return after, err
	}
	ctx, cancel := context.WithTimeout(ctx, restartPatience)
	defer cancel()
	for pause(ctx) == nil {
		after, rerr := n.Unit(ctx, id)
		if rerr == nil && after.Invocation != before.Invocation && after.Active == "active" {
			return after, nil
		}
	}
	return after, err
}

// stated tells whether a server refused, rather than that it went away.
func stated(err error) bool {
	kind := api.KindOf(err)
	return kind != api.KindUnavailable && kind != api.KindInternal
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
