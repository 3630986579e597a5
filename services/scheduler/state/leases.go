package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-os/ingot/api"
)

// Leases keeps nodes alive: Beat for each report of an agent. It is safe for
// many goroutines; exchanges are one at a time, about a millisecond each.
type Leases struct {
	client *clientv3.Client
	leader clientv3.Cmp

	mu  sync.Mutex // guards ids, and orders grants
	ids map[string]clientv3.LeaseID
}

// NewLeases continues the leases that a snapshot found.
func NewLeases(w *Writer, alive map[string]clientv3.LeaseID) *Leases {
	return &Leases{client: w.Client, leader: w.Leader, ids: alive}
}

// Beat extends a node's life by api.LeaseSeconds, or begins it.
func (l *Leases) Beat(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok := l.ids[node]; ok {
		_, err := l.client.KeepAliveOnce(ctx, id)
		if err == nil {
			return nil
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return fmt.Errorf("extend lease of node %s: %w", node, err)
		}
		delete(l.ids, node)
	}
	return l.grant(ctx, node)
}

func (l *Leases) grant(ctx context.Context, node string) error {
	lease, err := l.client.Grant(ctx, api.LeaseSeconds)
	if err != nil {
		return fmt.Errorf("lease for node %s: %w", node, err)
	}
	res, err := l.client.Txn(ctx).If(l.leader).
		Then(clientv3.OpPut(alivePrefix+node, "", clientv3.WithLease(lease.ID))).Commit()
	if err == nil && !res.Succeeded {
		err = ErrDeposed
	}
	if err != nil {
		return fmt.Errorf("lease for node %s: %w", node, err)
	}
	l.ids[node] = lease.ID
	return nil
}

// Life is a node that came alive or was lost.
type Life struct {
	Node  string
	Alive bool
}

// WatchLife reports nodes that come and go after a revision, until ctx ends or
// the store goes away, which closes the channel.
func WatchLife(ctx context.Context, c *clientv3.Client, after int64) <-chan []Life {
	out := make(chan []Life)
	events := c.Watch(clientv3.WithRequireLeader(ctx), alivePrefix, clientv3.WithPrefix(), clientv3.WithRev(after+1))
	go func() {
		defer close(out)
		for res := range events {
			if res.Err() != nil {
				return
			}
			select {
			case out <- lives(res.Events):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func lives(events []*clientv3.Event) []Life {
	var out []Life
	for _, e := range events {
		out = append(out, Life{strings.TrimPrefix(string(e.Kv.Key), alivePrefix), e.Type == clientv3.EventTypePut})
	}
	return out
}
