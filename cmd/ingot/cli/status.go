package cli

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

// statusPatience bounds the question to each node: a dead one is a finding, not
// a reason to hang.
const statusPatience = 5 * time.Second

// report is the one screen.
type report struct {
	Site     string           `json:"site"`
	Version  string           `json:"version,omitempty"`
	Nodes    int              `json:"nodes"`
	Apps     int              `json:"apps"`
	Problems []api.Problem    `json:"problems"`
	Status   []api.NodeStatus `json:"status,omitempty"`
}

func (r *report) wrong(since time.Time, next, format string, args ...any) {
	r.Problems = append(r.Problems, api.Problem{What: fmt.Sprintf(format, args...), Since: since, Next: next})
}

func status(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		k, err := c.cluster()
		if err != nil {
			return err
		}
		r := &report{Problems: []api.Problem{}}
		r.Site, _ = c.siteDir() // found: cluster has looked there
		r.inspect(ctx, c, k)
		if err := r.print(c); err != nil {
			return err
		}
		if len(r.Problems) > 0 {
			return errWrong
		}
		return nil
	}
}

// inspect asks everything that can answer, the outermost first.
func (r *report) inspect(ctx context.Context, c *call, k *client.Cluster) {
	ctx, cancel := context.WithTimeout(ctx, 3*statusPatience)
	defer cancel()
	r.machines(ctx, c)
	h, err := k.Hello(ctx)
	if err != nil {
		r.wrong(time.Time{}, c.whenSilent(), "%s", oneLine(err))
		return
	}
	r.Site, r.Version = h.Site, h.Version
	nodes, err := k.Nodes(ctx)
	if err != nil {
		r.wrong(time.Time{}, "ingot unit ls --node MASTER", "%s", oneLine(err))
	}
	r.nodes(ctx, k, nodes)
	r.apps(ctx, k)
}

// whenSilent is the next step while no router answers.
func (c *call) whenSilent() string {
	if names := c.machineNames(); len(names) > 0 {
		return "ingot node console " + names[0]
	}
	return "ingot up"
}

func (r *report) machines(ctx context.Context, c *call) {
	m, err := c.machines()
	if err != nil {
		return // a site without a provisioner here
	}
	all, err := m.List(ctx)
	if err != nil {
		r.wrong(time.Time{}, "ingot down, then ingot up", "%s", oneLine(err))
	}
	for _, x := range all {
		if x.State == api.MachinePending {
			r.wrong(x.Since, "ingot machine ls", "machine %s is pending: %s", name(x), x.Reason)
		}
	}
}

func (r *report) nodes(ctx context.Context, k *client.Cluster, nodes []api.NodeSummary) {
	r.Nodes = len(nodes)
	for _, n := range nodes {
		if !n.Alive {
			r.wrong(n.Since, fmt.Sprintf("ingot node power %s --action on", n.Node), "node %s is gone", n.Node)
		}
	}
	if len(nodes) == 0 {
		return
	}
	answers, err := each(ctx, k, "", func(ctx context.Context, n *client.Node) (api.NodeStatus, error) {
		ctx, cancel := context.WithTimeout(ctx, statusPatience)
		defer cancel()
		return n.Status(ctx)
	})
	if err != nil {
		return // said already: the list of nodes is what failed
	}
	for _, a := range answers {
		if a.err != nil {
			r.wrong(time.Time{}, "ingot node console "+a.node, "node %s: %s", a.node, oneLine(a.err))
			continue
		}
		r.Status = append(r.Status, a.value)
		for _, p := range a.value.Problems {
			r.wrong(p.Since, p.Next, "%s: %s", a.node, p.What)
		}
		if a.value.State == "degraded" && len(a.value.Problems) == 0 {
			r.wrong(time.Time{}, "ingot unit ls --node "+a.node, "node %s is degraded", a.node)
		}
	}
}

func (r *report) apps(ctx context.Context, k *client.Cluster) {
	apps, err := k.Apps(ctx)
	if err != nil {
		r.wrong(time.Time{}, "ingot unit ls --node MASTER", "apps: %s", oneLine(err))
		return
	}
	r.Apps = len(apps)
	queue, err := k.Queue(ctx)
	if err != nil {
		queue = nil // the count below says it too, without the reason
	}
	for _, a := range apps {
		have, what := a.TasksRunning, "running"
		if len(a.HealthChecks) > 0 {
			have, what = a.TasksHealthy, "healthy"
		}
		if have >= a.Instances {
			continue
		}
		text := fmt.Sprintf("app %s has %d of %d %s", a.ID, have, a.Instances, what)
		var since time.Time
		if i := slices.IndexFunc(queue, func(q client.Waiting) bool { return q.App.ID == a.ID }); i >= 0 {
			text += ": " + waiting(queue[i])
			since, _ = time.Parse(time.RFC3339, queue[i].Since) // no time: none is shown
		}
		r.wrong(since, "ingot app show "+strings.TrimPrefix(a.ID, "/"), "%s", text)
	}
}

func (r *report) print(c *call) error {
	if c.json {
		return c.showJSON(r)
	}
	fmt.Fprintf(c.stdout, "site %s: %d nodes, %d apps", r.Site, r.Nodes, r.Apps)
	if len(r.Problems) == 0 {
		fmt.Fprintln(c.stdout, ", all well")
	} else {
		fmt.Fprintf(c.stdout, ", %d wrong\n\n", len(r.Problems))
		var rows [][]string
		for _, p := range r.Problems {
			rows = append(rows, []string{p.What, ago(p.Since), p.Next})
		}
		if err := columns(c.stdout, "WRONG SINCE NEXT", rows); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, s := range r.Status {
		rows = append(rows, []string{s.Name, roles(s.Roles), s.State, span(micros(s.UptimeUS)), mib(s.MemUsed), s.Clock})
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(c.stdout)
	return columns(c.stdout, "NODE ROLES STATE UP MEMORY CLOCK", rows)
}
