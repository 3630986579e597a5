package state

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-os/ingot/api"
)

// Snapshot is all of the state at one revision.
type Snapshot struct {
	Revision    int64
	Apps        []AppRecord
	Versions    map[string][]string // app id to versions, oldest first
	Failures    []api.TaskFailure
	Deployments []DeploymentRecord
	Allocs      []AllocRecord
	Statuses    []api.AllocStatus
	Nodes       []NodeRecord
	Alive       map[string]clientv3.LeaseID
}

// Load reads everything and returns a Writer for the term that leader stands
// for.
func Load(ctx context.Context, c *clientv3.Client, leader clientv3.Cmp) (*Snapshot, *Writer, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*Timeout)
	defer cancel()
	res, err := c.Get(ctx, Prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, nil, fmt.Errorf("read state from the store: %w", err)
	}
	s := &Snapshot{Revision: res.Header.Revision, Versions: map[string][]string{}, Alive: map[string]clientv3.LeaseID{}}
	w := &Writer{Client: c, Leader: leader, guards: map[string]int64{}}
	for _, kv := range res.Kvs {
		key := string(kv.Key)
		if node, ok := strings.CutPrefix(key, resvPrefix); ok {
			w.guards[node] = kv.ModRevision
		} else if node, ok := strings.CutPrefix(key, alivePrefix); ok {
			s.Alive[node] = clientv3.LeaseID(kv.Lease)
		} else if rest, ok := strings.CutPrefix(key, versionPrefix); ok {
			id, v, _ := strings.Cut(rest, "@")
			s.Versions[id] = append(s.Versions[id], v) // keys come sorted, and versions sort by time
		} else if err := s.add(key, kv.Value); err != nil {
			return nil, nil, fmt.Errorf("read %s from the store: %w", key, err)
		}
	}
	return s, w, nil
}

func (s *Snapshot) add(key string, v []byte) error {
	switch {
	case strings.HasPrefix(key, appPrefix+"/"):
		return decode(&s.Apps, v)
	case strings.HasPrefix(key, failurePrefix+"/"):
		return decode(&s.Failures, v)
	case strings.HasPrefix(key, deployPrefix):
		return decode(&s.Deployments, v)
	case strings.HasPrefix(key, allocPrefix):
		return decode(&s.Allocs, v)
	case strings.HasPrefix(key, statusPrefix):
		return decode(&s.Statuses, v)
	case strings.HasPrefix(key, nodePrefix):
		return decode(&s.Nodes, v)
	}
	return nil // the election's, or another release's
}

func decode[T any](list *[]T, v []byte) error {
	var one T
	if err := json.Unmarshal(v, &one); err != nil {
		return err
	}
	*list = append(*list, one)
	return nil
}

// AppVersion reads one version of an app's definition.
func AppVersion(ctx context.Context, c *clientv3.Client, id, version string) (api.App, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var a api.App
	res, err := c.Get(ctx, Version(id, version))
	if err != nil {
		return a, false, fmt.Errorf("read version %s of app %s: %w", version, id, err)
	}
	if len(res.Kvs) == 0 {
		return a, false, nil
	}
	if err := json.Unmarshal(res.Kvs[0].Value, &a); err != nil {
		return a, false, fmt.Errorf("read version %s of app %s: %w", version, id, err)
	}
	return a, true, nil
}
