package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// term is one leadership: the loop that owns the model, and what it publishes.
type term struct {
	client *clientv3.Client
	writer *state.Writer
	leases *state.Leases
	model  *model
	log    func(string)
	now    func() time.Time

	asks chan ask
	done chan struct{} // closed when the loop has ended

	routes topic[api.RouteTable]
	sent   []byte // routes as last published

	mu     sync.Mutex // guards allocs
	allocs map[string]*allocTopic
}

type allocTopic struct {
	topic[api.AllocSet]
	sent []byte
}

// ask is a function for the loop to call with the model, and where to say how
// it went. A change is answered after it is written.
type ask struct {
	do     func(*model) error
	change bool
	answer chan error
}

var errNoLeader = api.Errorf(api.KindUnavailable, "no scheduler leads").WithHint("try again in a few seconds")

// call runs do in the loop.
func (t *term) call(ctx context.Context, change bool, do func(*model) error) error {
	a := ask{do, change, make(chan error, 1)}
	select {
	case t.asks <- a:
	case <-t.done:
		return errNoLeader
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.answer:
		return err
	case <-t.done:
		return errNoLeader
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin loads the state for a term that leader stands for.
func begin(ctx context.Context, c *clientv3.Client, leader clientv3.Cmp, now func() time.Time, log func(string)) (*term, *state.Snapshot, error) {
	snap, w, err := state.Load(ctx, c, leader)
	if err != nil {
		return nil, nil, err
	}
	t := &term{
		client: c, writer: w, leases: state.NewLeases(w, snap.Alive), model: newModel(snap, now(), uuid),
		log: log, now: now, asks: make(chan ask), done: make(chan struct{}), allocs: map[string]*allocTopic{},
	}
	return t, snap, nil
}

// run is the loop; it returns when ctx ends or the term cannot go on.
func (t *term) run(ctx context.Context, snap *state.Snapshot, deposed <-chan struct{}) error {
	defer close(t.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lives := state.WatchLife(ctx, t.client, snap.Revision)
	rev := snap.Revision
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var waiting []ask
		select {
		case <-ctx.Done():
			return nil
		case <-deposed:
			return state.ErrDeposed
		case <-timer.C:
		case batch, ok := <-lives:
			if !ok {
				return errors.New("watch nodes' leases: the store is gone")
			}
			t.model.now = t.now()
			for _, l := range batch {
				t.model.life(l)
			}
		case a := <-t.asks:
			waiting = t.take(a)
			if waiting == nil {
				continue // only looked
			}
		}
		if err := t.round(ctx, &rev); err != nil {
			return err
		}
		for _, a := range waiting {
			a.answer <- nil
		}
		timer.Reset(t.untilWake())
	}
}

// most asks that one round takes together, so that one write serves them all.
const perRound = 64

// take does a and the asks that are already waiting, answers those that only
// look or that went wrong, and returns those to answer after the write.
func (t *term) take(a ask) []ask {
	t.model.now = t.now()
	var changes []ask
	for {
		err := a.do(t.model)
		if err != nil || !a.change {
			a.answer <- err
		} else {
			changes = append(changes, a)
		}
		if len(changes) == perRound {
			return changes
		}
		select {
		case a = <-t.asks:
		default:
			return changes
		}
	}
}

// round reconciles, writes, publishes and logs.
func (t *term) round(ctx context.Context, rev *int64) error {
	m := t.model
	m.now, m.wake = t.now(), time.Time{}
	m.endGrace()
	m.reconcile()
	if !m.batch.Empty() {
		r, err := t.writer.Commit(ctx, &m.batch)
		if err != nil {
			return err
		}
		*rev = r
	}
	t.publish(*rev)
	for _, n := range m.notes {
		t.log(n)
	}
	m.notes = nil
	return nil
}

func (t *term) untilWake() time.Duration {
	if t.model.wake.IsZero() {
		return time.Hour
	}
	return max(0, t.model.wake.Sub(t.now()))
}

// publish sends what changed to those who follow.
func (t *term) publish(rev int64) {
	routes := t.model.routes()
	if b := encoded(routes); !bytes.Equal(b, t.sent) {
		t.sent = b
		t.routes.set(api.RouteTable{Revision: rev, Services: routes})
	}
	for _, n := range t.model.sortedNodes() {
		if !n.Alive {
			continue // what a lost node should do is decided when it is back
		}
		at, allocs := t.topicOf(n.Node), t.model.allocsOf(n)
		if b := encoded(allocs); !bytes.Equal(b, at.sent) {
			at.sent = b
			at.set(api.AllocSet{Revision: rev, Allocs: allocs})
		}
	}
}

func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("scheduler: no JSON: %v", err)) // our own plain structs: a programming error
	}
	return b
}

func (t *term) topicOf(node string) *allocTopic {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.allocs[node]
	if at == nil {
		at = &allocTopic{}
		t.allocs[node] = at
	}
	return at
}
