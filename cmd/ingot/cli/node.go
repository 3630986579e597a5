package cli

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

func nodeLs(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		nodes, err := k.Nodes(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, n := range nodes {
			rows = append(rows, nodeRow(n))
		}
		return c.show(list(nodes), "NAME ROLES ADDRESS STATE SINCE TASKS CPUS MEM", rows)
	}
}

func nodeRow(n api.NodeSummary) []string {
	state := "alive"
	if !n.Alive {
		state = "gone"
	}
	return []string{
		n.Node, roles(n.Roles), n.Address, state, ago(n.Since), fmt.Sprint(n.Tasks),
		fmt.Sprintf("%g/%g", n.Used.CPUs, n.Total.CPUs), fmt.Sprintf("%.0f/%.0f MiB", n.Used.Mem, n.Total.Mem),
	}
}

func nodeShow(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		s, err := k.Node(c.args[0]).Status(ctx)
		if err != nil {
			return err
		}
		rows := [][]string{
			{"name", s.Name},
			{"roles", roles(s.Roles)},
			{"state", s.State},
			{"version", s.Version},
			{"image", s.Image},
			{"up", span(micros(s.UptimeUS))},
			{"clock", s.Clock},
			{"memory", mib(s.MemUsed) + " of " + mib(s.MemTotal)},
			{"addresses", strings.Join(s.Addresses, " ")},
		}
		for _, t := range s.Targets {
			rows = append(rows, []string{t.Unit, t.Active})
		}
		for _, p := range s.Problems {
			rows = append(rows, []string{"problem", p.What + "; " + p.Next})
		}
		return c.show(s, "", rows)
	}
}

// reached is what one node answered to a question put to many.
type reached[T any] struct {
	node  string
	value T
	err   error
}

// each asks the named node, or all nodes that live, at the same time.
func each[T any](ctx context.Context, k *client.Cluster, only string, ask func(context.Context, *client.Node) (T, error)) ([]reached[T], error) {
	names, err := nodeNames(ctx, k, only)
	if err != nil {
		return nil, err
	}
	answers := make([]reached[T], len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() {
			v, err := ask(ctx, k.Node(name))
			answers[i] = reached[T]{name, v, err}
		})
	}
	asking.Wait()
	return answers, nil
}

// nodeNames lists the nodes that live, or the one asked for if it exists.
func nodeNames(ctx context.Context, k *client.Cluster, only string) ([]string, error) {
	nodes, err := k.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var all, alive []string
	for _, n := range nodes {
		all = append(all, n.Node)
		if n.Alive {
			alive = append(alive, n.Node)
		}
	}
	switch {
	case only == "":
		return alive, nil
	case !slices.Contains(all, only):
		return nil, none("node", only, all)
	}
	return []string{only}, nil
}

// none words that a thing does not exist, and what does.
func none(noun, name string, have []string) error {
	if len(have) == 0 {
		return fmt.Errorf("no %s %q; there are none", noun, name)
	}
	return fmt.Errorf("no %s %q; %ss are %s", noun, name, noun, strings.Join(have, ", "))
}
