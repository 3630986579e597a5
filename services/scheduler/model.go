package scheduler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/scheduler/placement"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// model is the whole truth of a term in memory. Its methods are called by the
// loop alone, take the time from now, and record what they change in batch.
type model struct {
	nodes   map[string]*node
	apps    map[string]*app
	deploys map[string]*state.DeploymentRecord
	batch   state.Batch

	now   time.Time
	wake  time.Time // earliest time at which something is due; zero: never
	grace time.Time // nodes without a lease are believed until then
	newID func() string
	seed  int
	notes []string // what to log once the round is written
}

type node struct {
	state.NodeRecord
	inst   map[string]*instance
	leased bool // its lease has been seen in this term
	fresh  bool // registered after it was lost: only a full report tells what runs
}

type app struct {
	state.AppRecord
	versions []string // kept ones, oldest first
	failure  *api.TaskFailure
	inst     map[string]*instance
	backoff  backoff
	pending  pending
}

// pending is why an app has fewer instances than it should.
type pending struct {
	count     int
	since     time.Time
	declined  []placement.Declined
	processed int
}

type instance struct {
	alloc  api.Alloc
	stop   bool // told to end
	status api.AllocStatus
	doubt  bool // its node was lost and has not said since what runs
	lost   bool // its node was lost: the first to go if it has been replaced
	node   *node
}

func newModel(snap *state.Snapshot, now time.Time, newID func() string) *model {
	m := &model{
		nodes: map[string]*node{}, apps: map[string]*app{}, deploys: map[string]*state.DeploymentRecord{},
		now: now, grace: now.Add(api.LeaseSeconds * time.Second), newID: newID,
	}
	for _, n := range snap.Nodes {
		m.nodes[n.Node] = &node{NodeRecord: n, inst: map[string]*instance{}}
	}
	for _, a := range snap.Apps {
		m.apps[a.Spec.ID] = &app{AppRecord: a, inst: map[string]*instance{}, versions: snap.Versions[a.Spec.ID]}
	}
	for _, d := range snap.Deployments {
		m.deploys[d.ID] = &d
	}
	for _, f := range snap.Failures {
		if a := m.apps[f.AppID]; a != nil {
			a.failure = &f
		}
	}
	m.loadInstances(snap)
	for name := range snap.Alive {
		m.life(state.Life{Node: name, Alive: true})
	}
	return m
}

func (m *model) loadInstances(snap *state.Snapshot) {
	status := map[string]api.AllocStatus{}
	for _, s := range snap.Statuses {
		status[s.ID] = s
	}
	for _, r := range snap.Allocs {
		n, a := m.nodes[r.Node], m.apps[r.App]
		if n == nil || a == nil {
			m.batch.Delete(state.Alloc(r.Node, r.ID)) // its app or node was removed for good
			m.batch.Delete(state.Status(r.Node, r.ID))
			continue
		}
		i := &instance{alloc: r.Alloc, stop: r.Stop, status: status[r.ID], node: n}
		if i.status.State == "" {
			i.status = staging(r.Alloc)
		}
		i.doubt, i.lost = !n.Alive, !n.Alive
		n.inst[r.ID], a.inst[r.ID] = i, i
	}
}

func staging(a api.Alloc) api.AllocStatus {
	return api.AllocStatus{ID: a.ID, State: api.TaskStaging}
}

// sortedApps makes a round's order, and so its outcome, the same each time.
func (m *model) sortedApps() []*app {
	var out []*app
	for _, id := range slices.Sorted(maps.Keys(m.apps)) {
		out = append(out, m.apps[id])
	}
	return out
}

func (m *model) sortedNodes() []*node {
	var out []*node
	for _, id := range slices.Sorted(maps.Keys(m.nodes)) {
		out = append(out, m.nodes[id])
	}
	return out
}

func sortedInstances(of map[string]*instance) []*instance {
	return slices.SortedFunc(maps.Values(of), func(a, b *instance) int {
		return cmp.Or(a.alloc.Created.Compare(b.alloc.Created), cmp.Compare(a.alloc.ID, b.alloc.ID))
	})
}

// wakeAt asks for a round at t at the latest.
func (m *model) wakeAt(t time.Time) {
	if m.wake.IsZero() || t.Before(m.wake) {
		m.wake = t
	}
}

// state is what the world is told of an instance.
func (i *instance) state() api.TaskState {
	switch {
	case !i.node.Alive:
		return api.TaskUnreachable
	case i.stop:
		return api.TaskKilling
	}
	return i.status.State
}

// serving tells whether requests may be sent to an instance.
func (i *instance) serving() bool {
	return i.node.Alive && !i.stop && !i.doubt && i.status.State == api.TaskRunning && !i.sick()
}

func (i *instance) sick() bool { return i.status.Healthy != nil && !*i.status.Healthy }

// ready tells whether an instance counts as up in a rolling change.
func (i *instance) ready() bool {
	healthy := i.status.Healthy != nil && *i.status.Healthy
	return i.serving() && (healthy || len(i.alloc.Health) == 0)
}

// remove forgets an instance: nothing of it is left anywhere.
func (m *model) remove(i *instance) {
	delete(i.node.inst, i.alloc.ID)
	if a := m.apps[i.alloc.App]; a != nil {
		delete(a.inst, i.alloc.ID)
	}
	m.batch.Delete(state.Alloc(i.alloc.Node, i.alloc.ID))
	m.batch.Delete(state.Status(i.alloc.Node, i.alloc.ID))
}

// end tells an instance's node to stop it. One on a lost node, or that its node
// has never spoken of, is forgotten: its absence says the same.
func (m *model) end(i *instance) {
	if i.stop {
		return
	}
	if !i.node.Alive || i.status.UpdatedAt.IsZero() {
		m.remove(i)
		return
	}
	i.stop = true
	m.batch.Put(state.Alloc(i.alloc.Node, i.alloc.ID), state.AllocRecord{Alloc: i.alloc, Stop: true})
}
