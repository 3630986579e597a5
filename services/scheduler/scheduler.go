package scheduler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// Scheduler is one candidate for leadership and its API.
type Scheduler struct {
	Client  *clientv3.Client
	Address string           // of this node, for the others to be named by
	Release string           // shown in /v2/info
	Log     func(string)     // one line, with syslog prefix; nil: standard error
	Now     func() time.Time // nil: the clock

	term   atomic.Pointer[term] // nil while not leading
	mu     sync.Mutex           // guards leader
	leader string               // address of whoever leads, as last heard
}

const (
	// sessionSeconds is how long a leader that died without a word is believed.
	sessionSeconds = 8
	// retry is the pause after a term that ended by a fault.
	retry = time.Second
)

// Lead stands for election and leads, again and again, until ctx ends.
func (s *Scheduler) Lead(ctx context.Context) error {
	if s.Log == nil {
		s.Log = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	last := ""
	for ctx.Err() == nil {
		err := s.lead(ctx)
		if ctx.Err() != nil {
			break
		}
		if text := fmt.Sprint(err); text != last { // the same fault again, a second later, is no news
			s.Log("<4>term of leadership ended: " + text)
			last = text
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
		}
	}
	return nil
}

// lead is one term: elected, loaded, run.
func (s *Scheduler) lead(ctx context.Context) error {
	session, err := s.session(ctx)
	if err != nil {
		return err
	}
	defer resign(session)
	if err := s.bury(ctx); err != nil {
		return err
	}
	e := concurrency.NewElection(session, state.LeaderPrefix)
	stop := s.observe(ctx, e)
	defer stop()
	if err := campaign(ctx, e, session, s.me()); err != nil {
		return err
	}
	mine := clientv3.Compare(clientv3.CreateRevision(e.Key()), "=", e.Rev())
	t, snap, err := begin(ctx, s.Client, mine, s.Now, s.Log)
	if err != nil {
		return err
	}
	s.Log(fmt.Sprintf("<5>leading: %d apps, %d nodes, %d instances at revision %d", len(snap.Apps), len(snap.Nodes), len(snap.Allocs), snap.Revision))
	s.term.Store(t)
	defer s.term.Store(nil)
	return t.run(ctx, snap, session.Done())
}

// session is the lease that leadership lasts on.
func (s *Scheduler) session(ctx context.Context) (*concurrency.Session, error) {
	ask, cancel := context.WithTimeout(ctx, state.Timeout)
	defer cancel()
	lease, err := s.Client.Grant(ask, sessionSeconds)
	if err != nil {
		return nil, fmt.Errorf("stand for election: %w", err)
	}
	session, err := concurrency.NewSession(s.Client, concurrency.WithLease(lease.ID), concurrency.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("stand for election: %w", err)
	}
	return session, nil
}

// resign gives the lease back so that the next leader need not wait for its
// end; without the store it ends by itself.
func resign(s *concurrency.Session) {
	s.Orphan()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = s.Client().Revoke(ctx, s.Lease())
}

// campaign waits to be elected, no longer than the session lives.
func campaign(ctx context.Context, e *concurrency.Election, session *concurrency.Session, value string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() { // ends with this function
		select {
		case <-session.Done():
			cancel(state.ErrDeposed)
		case <-ended:
		}
	}()
	if err := e.Campaign(ctx, value); err != nil {
		return fmt.Errorf("stand for election: %w", errors.Join(context.Cause(ctx), err))
	}
	return nil
}

// me is how this candidate is known to the others.
func (s *Scheduler) me() string { return net.JoinHostPort(s.Address, strconv.Itoa(api.PortScheduler)) }

// bury removes candidacies of this node's earlier lives: it holds the port they
// held, so they are dead, and nobody need wait for their leases.
func (s *Scheduler) bury(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, state.Timeout)
	defer cancel()
	res, err := s.Client.Get(ctx, state.LeaderPrefix+"/", clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("look for earlier candidacies: %w", err)
	}
	for _, kv := range res.Kvs {
		if string(kv.Value) != s.me() {
			continue
		}
		if _, err := s.Client.Delete(ctx, string(kv.Key)); err != nil {
			return fmt.Errorf("remove earlier candidacy: %w", err)
		}
	}
	return nil
}

// observe keeps up with who leads until the returned function is called.
func (s *Scheduler) observe(ctx context.Context, e *concurrency.Election) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for res := range e.Observe(ctx) {
			if len(res.Kvs) > 0 {
				s.setLeader(string(res.Kvs[0].Value))
			}
		}
	})
	return func() { cancel(); wg.Wait(); s.setLeader("") }
}

func (s *Scheduler) setLeader(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = who
}

// Leader is host:port of the leading scheduler; empty when none is known.
func (s *Scheduler) Leader() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader
}

// current is the term to ask, if this scheduler leads.
func (s *Scheduler) current() (*term, error) {
	if t := s.term.Load(); t != nil {
		return t, nil
	}
	if l := s.Leader(); l != "" && l != s.me() {
		return nil, api.Errorf(api.KindUnavailable, "this scheduler does not lead").WithHint("the leader is %s", l)
	}
	return nil, errNoLeader
}

// look reads the model; change changes it, and returns after it is written.
func (s *Scheduler) look(ctx context.Context, do func(*model) error) error {
	return s.ask(ctx, false, do)
}

func (s *Scheduler) change(ctx context.Context, do func(*model) error) error {
	return s.ask(ctx, true, do)
}

func (s *Scheduler) ask(ctx context.Context, change bool, do func(*model) error) error {
	t, err := s.current()
	if err != nil {
		return err
	}
	return t.call(ctx, change, do)
}

// uuid is a random one (RFC 9562 section 5.4).
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
