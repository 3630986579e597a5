package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

// agent is an honest agent without containers: it registers, follows its
// allocations and reports each as running, ended ones as killed.
type agent struct {
	s    *site
	name string
	http *http.Client
	off  func() // pulls the plug

	mu     sync.Mutex // guards what follows
	runs   map[string]api.AllocStatus
	lines  int
	starts map[string]int // how often each was started
}

func (s *site) agent(name string, roles ...api.Role) *agent {
	s.t.Helper()
	a := &agent{s: s, name: name, http: s.client(name, roles...), starts: map[string]int{}, runs: map[string]api.AllocStatus{}}
	a.on()
	s.t.Cleanup(func() { a.off() })
	eventually(s.t, name+" alive", func() string { return s.aliveness(name, true) })
	return a
}

func (s *site) aliveness(name string, want bool) string {
	var nodes []api.NodeSummary
	s.call("GET", "/v1/nodes", "", 200, &nodes)
	for _, n := range nodes {
		if n.Node == name && n.Alive == want {
			return ""
		}
	}
	return fmt.Sprint(nodes)
}

// on powers the machine up with what it has in memory.
func (a *agent) on() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = a.session(ctx) // the scheduler restarts: again
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	a.off = func() { cancel(); wg.Wait(); a.off = func() {} }
}

// forget is a reboot without a disk.
func (a *agent) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs = map[string]api.AllocStatus{}
}

func (a *agent) session(ctx context.Context) error {
	inv := api.AgentInventory{Node: a.name, Address: "127.0.0.1", Total: api.Resources{CPUs: 4, Mem: 1024, Disk: 1000}}
	if err := a.post(ctx, "register", inv); err != nil {
		return err
	}
	if err := a.report(ctx, true); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { a.heartbeat(ctx, cancel) })
	return follow(ctx, a.http, "https://"+a.s.listen+"/agent/v1/allocs", func(set api.AllocSet) {
		if err := a.post(ctx, "status", api.StatusReport{Node: a.name, Statuses: a.apply(set)}); err != nil {
			cancel()
		}
	})
}

func (a *agent) heartbeat(ctx context.Context, broken func()) {
	defer broken()
	tick := time.NewTicker(api.HeartbeatSeconds * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if a.report(ctx, false) != nil {
				return
			}
		}
	}
}

func (a *agent) apply(set api.AllocSet) []api.AllocStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines++
	want, changed := map[string]bool{}, []api.AllocStatus{}
	for _, al := range set.Allocs {
		want[al.ID] = true
		if _, ok := a.runs[al.ID]; !ok {
			a.starts[al.ID]++
			a.runs[al.ID] = running(al)
			changed = append(changed, a.runs[al.ID])
		}
	}
	for id := range a.runs {
		if !want[id] {
			delete(a.runs, id)
			changed = append(changed, api.AllocStatus{ID: id, State: api.TaskKilled, UpdatedAt: time.Now()})
		}
	}
	return changed
}

func running(al api.Alloc) api.AllocStatus {
	st := api.AllocStatus{ID: al.ID, State: api.TaskRunning, StartedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC()}
	if len(al.Health) > 0 {
		st.Healthy = new(true)
	}
	return st
}

func (a *agent) report(ctx context.Context, full bool) error {
	a.mu.Lock()
	r := api.StatusReport{Node: a.name, Full: full}
	for _, st := range a.runs {
		if full {
			r.Statuses = append(r.Statuses, st)
		}
	}
	a.mu.Unlock()
	return a.post(ctx, "status", r)
}

// say reports one instance in a state of the test's choosing.
func (a *agent) say(t *testing.T, st api.AllocStatus) {
	t.Helper()
	a.mu.Lock()
	if st.State.Terminal() {
		delete(a.runs, st.ID)
	} else {
		a.runs[st.ID] = st
	}
	a.mu.Unlock()
	check(t, a.post(t.Context(), "status", api.StatusReport{Node: a.name, Statuses: []api.AllocStatus{st}}))
}

func (a *agent) ids() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []string{}
	for id := range a.runs {
		out = append(out, id)
	}
	return out
}

func (a *agent) post(ctx context.Context, call string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "https://"+a.s.listen+"/agent/v1/"+call, bytes.NewReader(b))
	if err != nil {
		return err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", call, res.Status)
	}
	return nil
}
