package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/apps"
	"github.com/ingot-os/ingot/services/scheduler/placement"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// forgetAfter is how long a lost node's instances stay listed when their
// unreachableStrategy would forget them at once.
const forgetAfter = 10 * time.Minute

// reconcile makes what is into what should be, as far as one round can. It is
// safe to call at any time.
func (m *model) reconcile() {
	r := &round{m: m}
	for _, a := range m.sortedApps() {
		m.forget(a)
		if a.Removing {
			m.withdraw(a)
			continue
		}
		r.app(a)
	}
	m.finish()
}

// round is one reconciliation; nodes as placement sees them are made on first
// use, because most rounds place nothing.
type round struct {
	m     *model
	nodes []*placement.Node
}

// census sorts an app's instances for decisions.
type census struct {
	current, old []*instance // that count: reachable or not yet given up, not told to stop
	ready        int         // of both
}

// current tells whether an instance has the app's configuration: versions after
// the last configuration change only scaled.
func current(a *app, i *instance) bool {
	return a.Spec.VersionInfo == nil || i.alloc.Version >= a.Spec.VersionInfo.LastConfigChangeAt
}

func (m *model) census(a *app) census {
	var c census
	for _, i := range sortedInstances(a.inst) {
		if i.stop || m.givenUp(a, i) {
			continue
		}
		if current(a, i) {
			c.current = append(c.current, i)
		} else {
			c.old = append(c.old, i)
		}
		if i.ready() {
			c.ready++
		}
	}
	return c
}

// givenUp tells whether a lost instance is to be replaced now.
func (m *model) givenUp(a *app, i *instance) bool {
	u := a.Spec.UnreachableStrategy
	if i.node.Alive || u != nil && u.Disabled {
		return false
	}
	var wait time.Duration
	if u != nil {
		wait = seconds(u.InactiveAfterSeconds)
	}
	due := i.node.Since.Add(wait)
	if m.now.Before(due) {
		m.wakeAt(due)
		return false
	}
	return true
}

// forget removes what was lost too long ago.
func (m *model) forget(a *app) {
	u := a.Spec.UnreachableStrategy
	if u != nil && u.Disabled {
		return
	}
	after := forgetAfter
	if u != nil {
		after = max(after, seconds(u.ExpungeAfterSeconds))
	}
	for _, i := range sortedInstances(a.inst) {
		if i.node.Alive {
			continue
		}
		if due := i.node.Since.Add(after); m.now.Before(due) {
			m.wakeAt(due)
		} else {
			m.remove(i)
		}
	}
}

// app starts what is missing, stops what is too much or old. (A rolling change
// keeps minimumHealthCapacity of the instances ready and has at most
// maximumOverCapacity more than asked for; where that leaves no room to move, one
// more is allowed, as in Marathon.)
func (r *round) app(a *app) {
	c := r.m.census(a)
	want := a.Spec.Instances
	least, most := bounds(a.Spec)
	r.surplus(a, c, want)
	keep(c.current)
	missing := min(want-len(c.current), most-len(c.current)-len(c.old))
	if len(c.old) == 0 {
		missing = want - len(c.current)
	}
	r.launch(a, missing, want-len(c.current))
	r.retire(c, want, least)
}

// bounds are how many must stay ready and how many there may be.
func bounds(s api.App) (least, most int) {
	u := api.UpgradeStrategy{MinimumHealthCapacity: 1, MaximumOverCapacity: 1}
	if s.UpgradeStrategy != nil {
		u = *s.UpgradeStrategy
	}
	least = int(math.Ceil(float64(s.Instances) * u.MinimumHealthCapacity))
	most = int(math.Floor(float64(s.Instances) * (1 + u.MaximumOverCapacity)))
	if least == s.Instances && most == s.Instances {
		most++
	}
	return least, most
}

// surplus stops current instances beyond want: those that were lost first, then those
// that are not ready, then by killSelection.
func (r *round) surplus(a *app, c census, want int) {
	extra := len(c.current) - want
	if extra <= 0 {
		return
	}
	list := slices.Clone(c.current)
	slices.SortStableFunc(list, func(x, y *instance) int {
		age := y.alloc.Created.Compare(x.alloc.Created)
		if a.Spec.KillSelection == "OLDEST_FIRST" {
			age = -age
		}
		return cmp.Or(rank(x)-rank(y), age)
	})
	for _, i := range list[:extra] {
		r.m.end(i)
	}
}

// keep takes instances that came back with their node as any other's: they
// were needed.
func keep(list []*instance) {
	for _, i := range list {
		i.lost = i.lost && !i.node.Alive
	}
}

func rank(i *instance) int {
	switch {
	case i.lost || i.doubt || !i.node.Alive:
		return 0
	case !i.ready():
		return 1
	}
	return 2
}

// retire stops old instances: those that are not ready at once, others as far
// as least allows.
func (r *round) retire(c census, want, least int) {
	spare := c.ready - least
	for _, i := range c.old {
		switch {
		case want == 0 || !i.serving():
			r.m.end(i)
		case !i.ready() && spare >= 0: // running, health not known, and enough others are well
			r.m.end(i)
		case i.ready() && spare > 0:
			r.m.end(i)
			spare--
		}
	}
}

// launch places up to n instances; missing is how many the app lacks in all.
func (r *round) launch(a *app, n, missing int) {
	if missing <= 0 {
		a.pending = pending{}
		return
	}
	if a.pending.count == 0 {
		a.pending.since = r.m.now
	}
	a.pending.count = missing
	if n <= 0 {
		return
	}
	if r.m.now.Before(a.backoff.until) {
		r.m.wakeAt(a.backoff.until)
		return
	}
	for range n {
		if !r.place(a) {
			return
		}
		a.pending.count--
	}
	if a.pending.count == 0 {
		a.pending = pending{}
	}
}

func (r *round) place(a *app) bool {
	if r.nodes == nil {
		r.nodes = r.m.placementNodes()
	}
	m := r.m
	m.seed++
	req := placement.Request{
		App: a.Spec.ID, Res: apps.Resources(a.Spec), Ports: apps.HostPorts(a.Spec),
		Roles: a.Spec.AcceptedResourceRoles, Constraints: a.Spec.Constraints, Seed: m.seed,
	}
	c, declined, ok := placement.Place(r.nodes, req)
	if !ok {
		a.pending.declined, a.pending.processed = declined, len(r.nodes)
		return false
	}
	placement.Take(c, req)
	m.place(a, c)
	return true
}

func (m *model) place(a *app, c placement.Choice) {
	alloc := apps.Instance(a.Spec, apps.TaskID(a.Spec.ID, m.newID()), apps.Place{Node: c.Node.Name, Address: c.Node.Address, Ports: c.Ports})
	alloc.Created = m.now
	n := m.nodes[c.Node.Name]
	i := &instance{alloc: alloc, status: staging(alloc), node: n}
	n.inst[alloc.ID], a.inst[alloc.ID] = i, i
	m.batch.Put(state.Alloc(alloc.Node, alloc.ID), state.AllocRecord{Alloc: alloc})
	m.notes = append(m.notes, fmt.Sprintf("<6>%s placed on %s", apps.InstanceID(alloc.ID), alloc.Node))
}

// placementNodes are the living nodes and what is free on them. An instance
// that was told to stop holds its room until its agent says it has ended.
func (m *model) placementNodes() []*placement.Node {
	out := []*placement.Node{}
	for _, n := range m.sortedNodes() {
		if !n.Alive {
			continue
		}
		p := &placement.Node{
			Name: n.Node, Address: n.Address, Roles: resourceRoles(n.Roles), Attributes: n.Attributes,
			Free: n.Total, Ports: map[int]bool{}, Apps: map[string]int{},
		}
		for _, i := range n.inst {
			p.Free = placement.Minus(p.Free, i.alloc.Res)
			for _, port := range i.alloc.Ports {
				p.Ports[port.Host] = true
			}
			if !i.stop {
				p.Apps[i.alloc.App]++
			}
		}
		out = append(out, p)
	}
	return out
}

func resourceRoles(roles []api.Role) []string {
	var out []string
	for _, r := range roles {
		switch r {
		case api.RoleAgent:
			out = append(out, api.ResourceRoleAny)
		case api.RolePublicAgent:
			out = append(out, api.ResourceRolePublic)
		}
	}
	return out
}
