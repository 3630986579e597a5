package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// perTxn is how many keys one transaction changes (etcd's limit is 128).
const perTxn = 100

// ErrDeposed means that another leader has been elected, or that somebody else
// wrote a node's allocations: what is in memory is no longer the truth.
var ErrDeposed = errors.New("no longer the leader")

// Batch collects changes until Commit. The last change of a key wins.
type Batch struct {
	values map[string][]byte // nil deletes
}

// Put writes v as JSON.
func (b *Batch) Put(key string, v any) {
	j, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("state: %s has no JSON: %v", key, err)) // our own plain structs: a programming error
	}
	b.set(key, j)
}

// Delete removes a key.
func (b *Batch) Delete(key string) { b.set(key, nil) }

func (b *Batch) set(key string, v []byte) {
	if b.values == nil {
		b.values = map[string][]byte{}
	}
	b.values[key] = v
}

// Empty tells whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.values) == 0 }

// Writer commits batches in the name of one term of leadership.
type Writer struct {
	Client *clientv3.Client
	Leader clientv3.Cmp // holds while the term lasts

	guards map[string]int64 // mod revision of each node's guard
}

// Commit writes a batch and empties it: what belongs to no node first, then
// node by node. A crash in between leaves apps without instances, which the
// next leader starts, never instances without an app. It returns the store's
// revision.
func (w *Writer) Commit(ctx context.Context, b *Batch) (int64, error) {
	groups := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(b.values)) {
		groups[nodeOf(key)] = append(groups[nodeOf(key)], key)
	}
	var rev int64
	for _, node := range slices.Sorted(maps.Keys(groups)) {
		for keys := range slices.Chunk(groups[node], perTxn) {
			r, err := w.txn(ctx, node, keys, b.values)
			if err != nil {
				return 0, err
			}
			rev = r
		}
	}
	b.values = nil
	return rev, nil
}

func (w *Writer) txn(ctx context.Context, node string, keys []string, values map[string][]byte) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	conds, ops := []clientv3.Cmp{w.Leader}, []clientv3.Op{}
	for _, k := range keys {
		if values[k] == nil {
			ops = append(ops, clientv3.OpDelete(k))
		} else {
			ops = append(ops, clientv3.OpPut(k, string(values[k])))
		}
	}
	if node != "" {
		guard := resvPrefix + node
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(guard), "=", w.guards[node]))
		ops = append(ops, clientv3.OpPut(guard, ""))
	}
	res, err := w.Client.Txn(ctx).If(conds...).Then(ops...).Commit()
	if err != nil {
		return 0, fmt.Errorf("write %d keys to the store: %w", len(keys), err)
	}
	if !res.Succeeded {
		return 0, fmt.Errorf("write %d keys to the store: %w", len(keys), ErrDeposed)
	}
	if node != "" {
		w.guards[node] = res.Header.Revision
	}
	return res.Header.Revision, nil
}
