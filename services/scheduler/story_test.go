package scheduler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

const hello = `{"id":"/hello","cmd":"hello $PORT0","cpus":0.5,"mem":64,"instances":2,
	"labels":{"DCOS_SERVICE_NAME":"hello"},
	"healthChecks":[{"protocol":"MESOS_HTTP","path":"/"}]}`

// hosts are the nodes of an app's running tasks.
func (s *site) hosts(id string) []string {
	var out []string
	for _, t := range s.tasks(id) {
		if t.State == api.TaskRunning {
			out = append(out, t.SlaveID)
		}
	}
	slices.Sort(out)
	return out
}

func (s *site) runsOn(id string, want ...string) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%s on %v", id, want), func() string {
		if got := s.hosts(id); !slices.Equal(got, want) {
			return fmt.Sprint(got, s.tasks(id))
		}
		return ""
	})
}

func TestLifeOfAnApp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1, n2 := s.agent("n1", api.RoleAgent), s.agent("n2", api.RoleAgent)
	s.agent("p1", api.RolePublicAgent)
	routes := s.watchRoutes()
	var created api.App
	s.call("POST", "/v2/apps/", hello, 201, &created)
	if len(created.Deployments) != 1 || created.Version == "" {
		t.Fatalf("answer to POST: %+v", created)
	}
	s.runsOn("/hello", "n1", "n2")
	s.settled()
	routes.wait(t, 2)

	s.call("PUT", "/v2/apps/hello", `{"instances":4,"ports":null,"dependencies":null}`, 200, nil)
	s.runsOn("/hello", "n1", "n1", "n2", "n2")
	s.settled()
	before := append(n1.ids(), n2.ids()...)
	s.call("PUT", "/v2/apps/hello", `{"instances":2}`, 200, nil)
	s.settled()
	for _, id := range append(n1.ids(), n2.ids()...) {
		if !slices.Contains(before, id) {
			t.Errorf("scaling down started %s", id)
		}
	}

	s.call("PUT", "/v2/apps/hello", `{"env":{"A":"b"}}`, 200, nil)
	s.settled()
	for _, task := range s.tasks("/hello") {
		if slices.Contains(before, task.ID) {
			t.Errorf("%s is of the old definition", task.ID)
		}
	}
	var versions struct{ Versions []string }
	s.call("GET", "/v2/apps/hello/versions", "", 200, &versions)
	if len(versions.Versions) != 4 {
		t.Errorf("versions: %v, want 4", versions.Versions)
	}
	s.call("GET", "/v2/apps/hello/versions/"+versions.Versions[3], "", 200, nil)

	s.call("DELETE", "/v2/apps/hello", "", 200, nil)
	s.call("GET", "/v2/apps/hello", "", 404, nil)
	s.settled()
	routes.wait(t, 0)
	if left := append(n1.ids(), n2.ids()...); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
	s.leavesNothing()
}

// leavesNothing checks that a removed app has no key left.
func (s *site) leavesNothing() {
	s.t.Helper()
	res, err := s.etcd.Get(s.t.Context(), "/v1/", clientPrefix)
	check(s.t, err)
	for _, kv := range res.Kvs {
		for _, p := range []string{"/v1/spec", "/v1/alloc", "/v1/status", "/v1/deploy", "/v1/failure"} {
			if strings.HasPrefix(string(kv.Key), p) {
				s.t.Errorf("left in the store: %s", kv.Key)
			}
		}
	}
}

// routeWatch follows the route table as the router does.
type routeWatch struct {
	mu     sync.Mutex
	latest api.RouteTable
}

func (s *site) watchRoutes() *routeWatch {
	w := &routeWatch{}
	ctx, cancel := context.WithCancel(context.Background())
	c := s.client("m9", api.RoleMaster)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = follow(ctx, c, "https://"+s.listen+"/v1/routes", func(r api.RouteTable) {
				w.mu.Lock()
				w.latest = r
				w.mu.Unlock()
			})
		}
	})
	s.t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *routeWatch) endpoints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.latest.Services {
		out = append(out, r.Endpoints...)
	}
	return out
}

func (w *routeWatch) wait(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d endpoints", n), func() string {
		if got := w.endpoints(); len(got) != n {
			return fmt.Sprint(got)
		}
		return ""
	})
}

func TestNodeLostAndBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1, n2 := s.agent("n1", api.RoleAgent), s.agent("n2", api.RoleAgent)
	routes := s.watchRoutes()
	s.call("POST", "/v2/apps", hello, 201, nil)
	s.runsOn("/hello", "n1", "n2")
	s.settled()
	lost := n2.ids()

	n2.off()
	s.lose("n2")
	s.runsOn("/hello", "n1", "n1")
	routes.wait(t, 2)
	if got := s.state(lost[0]); got != api.TaskUnreachable {
		t.Errorf("instance on the lost node is %s", got)
	}

	n2.forget()
	n2.on()
	eventually(t, "the lost instance forgotten", func() string { return string(s.state(lost[0])) })
	s.runsOn("/hello", "n1", "n1")
	if n2.starts[lost[0]] > 1 || len(n2.ids()) > 0 || len(n1.ids()) != 2 {
		t.Errorf("after the return n1 runs %v, n2 %v", n1.ids(), n2.ids())
	}
}

// state is a task's state; empty when there is none.
func (s *site) state(id string) api.TaskState {
	for _, task := range s.tasks("/hello") {
		if task.ID == id {
			return task.State
		}
	}
	return ""
}

// TestSilence loses a node by its lease alone: the one test that takes its
// twelve seconds.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1 := s.agent("n1", api.RoleAgent)
	s.call("POST", "/v2/apps", hello, 201, nil)
	s.settled()
	began := time.Now()
	n1.off()
	eventually(t, "n1 lost", func() string { return s.aliveness("n1", false) })
	if d := time.Since(began); d < (api.LeaseSeconds-api.HeartbeatSeconds-1)*time.Second {
		t.Errorf("lost after %v", d)
	}
}

func TestSchedulerRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1, n2 := s.agent("n1", api.RoleAgent), s.agent("n2", api.RoleAgent)
	s.call("POST", "/v2/apps", hello, 201, nil)
	s.settled()
	before := append(n1.ids(), n2.ids()...)
	for range 2 {
		s.stop()
		s.start()
	}
	s.call("PUT", "/v2/apps/hello", `{"instances":3}`, 200, nil)
	s.settled()
	after := append(n1.ids(), n2.ids()...)
	if len(after) != 3 {
		t.Errorf("after two restarts and scaling to 3: %v", after)
	}
	for _, id := range before {
		if !slices.Contains(after, id) || n1.starts[id]+n2.starts[id] != 1 {
			t.Errorf("%s did not live through the restart: %v", id, after)
		}
	}
}

func TestQueueSaysWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.agent("n1", api.RoleAgent)
	s.call("POST", "/v2/apps", `{"id":"big","cmd":"true","cpus":64,"mem":64}`, 201, nil)
	var q struct{ Queue []api.QueueItem }
	s.call("GET", "/v2/queue?embed=lastUnusedOffers", "", 200, &q)
	if len(q.Queue) != 1 || q.Queue[0].Count != 1 || len(q.Queue[0].LastUnusedOffers) != 1 ||
		!slices.Equal(q.Queue[0].LastUnusedOffers[0].Reason, []string{"InsufficientCpus"}) {
		t.Fatalf("queue: %+v", q)
	}
	s.call("PUT", "/v2/apps/big", `{"cpus":1}`, 409, nil)
	s.call("PUT", "/v2/apps/big?force=true", `{"cpus":1}`, 200, nil)
	s.runsOn("/big", "n1")
	s.settled()
}

func TestFailureBacksOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1 := s.agent("n1", api.RoleAgent)
	s.call("POST", "/v2/apps", `{"id":"/crash/er","cmd":"false","backoffSeconds":300,"labels":{"DCOS_SERVICE_NAME":"x"}}`, 201, nil)
	s.runsOn("/crash/er", "n1")
	id := n1.ids()[0]
	n1.say(t, api.AllocStatus{ID: id, State: api.TaskFailed, Message: "exit status 1", UpdatedAt: time.Now()})
	var out struct{ App api.App }
	s.call("GET", "/v2/apps/crash/er", "", 200, &out)
	if f := out.App.LastTaskFailure; f == nil || f.TaskID != id || f.State != api.TaskFailed || f.Message != "exit status 1" {
		t.Errorf("last failure: %+v", f)
	}
	var q struct{ Queue []api.QueueItem }
	s.call("GET", "/v2/queue", "", 200, &q)
	if len(q.Queue) != 1 || q.Queue[0].Delay.Overdue || q.Queue[0].Delay.TimeLeftSeconds < 290 {
		t.Errorf("queue: %+v", q)
	}
	s.call("DELETE", "/v2/queue/crash/er/delay", "", 204, nil)
	s.runsOn("/crash/er", "n1")
}

func TestUnhealthyGetsNoRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1, n2 := s.agent("n1", api.RoleAgent), s.agent("n2", api.RoleAgent)
	routes := s.watchRoutes()
	s.call("POST", "/v2/apps", hello, 201, nil)
	s.settled()
	routes.wait(t, 2)
	st := api.AllocStatus{ID: n1.ids()[0], State: api.TaskRunning, Healthy: new(false), UpdatedAt: time.Now()}
	n1.say(t, st)
	routes.wait(t, 1)
	st.Healthy = new(true)
	n1.say(t, st)
	routes.wait(t, 2)
	if len(n2.ids()) != 1 {
		t.Errorf("n2 runs %v", n2.ids())
	}
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n1 := s.agent("n1", api.RoleAgent)
	if err := n1.post(t.Context(), "status", api.StatusReport{Node: "n2"}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("n1 reports for n2: %v", err)
	}
	if err := n1.post(t.Context(), "register", api.AgentInventory{Node: "n1", Address: "192.0.2.1"}); err == nil || !strings.Contains(err.Error(), "422") {
		t.Errorf("n1 registers another's address: %v", err)
	}
	op := &agent{s: s, name: "op", http: s.http}
	if err := op.post(t.Context(), "register", api.AgentInventory{Node: "op", Address: "127.0.0.1"}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("an operator registers: %v", err)
	}
	res, err := n1.http.Get("https://" + s.listen + "/v2/apps")
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("an agent lists apps: %s", res.Status)
	}
}
