package scheduler

import (
	"fmt"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/apps"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// register takes a node's inventory. Its life is the lease's business.
func (m *model) register(inv api.AgentInventory) {
	n := m.nodes[inv.Node]
	if n == nil {
		n = &node{NodeRecord: state.NodeRecord{Since: m.now}, inst: map[string]*instance{}}
		m.nodes[inv.Node] = n
	}
	n.AgentInventory, n.fresh = inv, !n.Alive
	m.batch.Put(state.Node(inv.Node), n.NodeRecord)
}

// life is a lease that began or ended.
func (m *model) life(l state.Life) {
	n := m.nodes[l.Node]
	if n == nil {
		return
	}
	n.leased = l.Alive
	if n.Alive == l.Alive {
		return
	}
	n.Alive, n.Since = l.Alive, m.now
	m.batch.Put(state.Node(l.Node), n.NodeRecord)
	if !l.Alive {
		m.lose(n)
	}
	word := "lost: no report"
	if l.Alive {
		word = "alive"
	}
	m.notes = append(m.notes, fmt.Sprintf("<5>node %s %s, %d instances on it", l.Node, word, len(n.inst)))
}

// lose doubts what ran on a node; what was to stop there has stopped as far as
// anybody can tell.
func (m *model) lose(n *node) {
	for _, i := range sortedInstances(n.inst) {
		i.doubt, i.lost = true, true
		if i.stop {
			m.remove(i)
		}
	}
}

// endGrace gives up nodes that were alive in the last term and have no lease in
// this one.
func (m *model) endGrace() {
	if m.grace.IsZero() {
		return
	}
	if m.now.Before(m.grace) {
		m.wakeAt(m.grace)
		return
	}
	m.grace = time.Time{}
	for _, n := range m.sortedNodes() {
		if n.Alive && !n.leased {
			m.life(state.Life{Node: n.Node})
		}
	}
}

// report takes what an agent observed.
func (m *model) report(r api.StatusReport) error {
	n := m.nodes[r.Node]
	if n == nil {
		return api.Errorf(api.KindNotFound, "report of node %s: it is not registered", r.Node).WithHint("POST /agent/v1/register first")
	}
	spoken := map[string]bool{}
	for _, s := range r.Statuses {
		spoken[s.ID] = true
		if i := n.inst[s.ID]; i != nil {
			m.observe(i, s)
		}
	}
	if !r.Full {
		n.trust()
		return nil
	}
	n.fresh = false
	for _, i := range sortedInstances(n.inst) {
		if !spoken[i.alloc.ID] {
			m.unspoken(i)
		}
	}
	return nil
}

// trust believes what a node last said of its instances: an agent repeats a
// report until it is taken, so what it does not mention has not changed. Not so
// one that registered after it was lost: it may have lost its memory too.
func (n *node) trust() {
	for _, i := range n.inst {
		i.doubt = i.doubt && n.fresh
	}
}

// unspoken is an instance that a full report leaves out: the node has not
// started it, or has lost it with its memory.
func (m *model) unspoken(i *instance) {
	i.doubt = false
	if i.stop {
		m.remove(i)
		return
	}
	if i.status.State != api.TaskStaging {
		i.status = staging(i.alloc)
		m.batch.Put(state.Status(i.alloc.Node, i.alloc.ID), i.status)
	}
}

func (m *model) observe(i *instance, s api.AllocStatus) {
	i.doubt = false
	if s.State.Terminal() {
		m.ended(i, s)
		return
	}
	if s.UpdatedAt.IsZero() {
		s.UpdatedAt = m.now
	}
	if same(i.status, s) {
		return
	}
	i.status = s
	m.batch.Put(state.Status(i.alloc.Node, i.alloc.ID), s)
}

// same tells whether two statuses differ only in when they were made.
func same(a, b api.AllocStatus) bool {
	healthy := (a.Healthy == nil) == (b.Healthy == nil) && (a.Healthy == nil || *a.Healthy == *b.Healthy)
	return healthy && a.State == b.State && a.Message == b.Message && a.IP == b.IP && a.StartedAt.Equal(b.StartedAt) &&
		a.UpdatedAt.IsZero() == b.UpdatedAt.IsZero()
}

// ended is an instance that will not run again. One that was told to is done;
// any other is a failure, also when it finished well: apps run for ever.
func (m *model) ended(i *instance, s api.AllocStatus) {
	if !i.stop {
		if i.status.StartedAt.IsZero() {
			i.status.StartedAt = s.StartedAt
		}
		m.failed(i, s.State, s.Message)
	}
	m.remove(i)
}

// failed records a failure and begins or lengthens the app's back-off.
func (m *model) failed(i *instance, st api.TaskState, message string) {
	a := m.apps[i.alloc.App]
	if a == nil || a.Removing {
		return
	}
	a.failure = &api.TaskFailure{
		AppID: i.alloc.App, Host: i.node.Address, Message: message, State: st,
		TaskID: i.alloc.ID, Timestamp: stamp(m.now), Version: i.alloc.Version,
	}
	m.batch.Put(state.Failure(i.alloc.App), a.failure)
	if current(a, i) {
		a.backoff.fail(a.Spec, m.now, i.status.StartedAt)
	}
	m.notes = append(m.notes, fmt.Sprintf("<5>%s ended on %s: %s %s", apps.InstanceID(i.alloc.ID), i.alloc.Node, st, message))
}

// stamp is a version and a time of Marathon's.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
