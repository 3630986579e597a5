package runtime

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
)

// master is the scheduler's side of the agent's three calls.
type master struct {
	sets     chan api.AllocSet
	statuses chan api.AllocStatus
	seen     map[string]api.AllocStatus // by id and state
	address  string
}

func startMaster(t *testing.T, l *lab) *master {
	m := &master{sets: make(chan api.AllocSet, 4), statuses: make(chan api.AllocStatus, 100), seen: map[string]api.AllocStatus{}}
	cfg, err := l.cfg.Identity.Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agent/v1/register", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /agent/v1/status", func(_ http.ResponseWriter, r *http.Request) {
		var rep api.StatusReport
		if json.NewDecoder(r.Body).Decode(&rep) == nil {
			for _, st := range rep.Statuses {
				m.statuses <- st
			}
		}
	})
	mux.HandleFunc("GET /agent/v1/allocs", func(w http.ResponseWriter, r *http.Request) {
		for http.NewResponseController(w).Flush() == nil {
			select {
			case set := <-m.sets:
				_ = json.NewEncoder(w).Encode(set)
			case <-r.Context().Done():
				return
			}
		}
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-served })
	m.address = ln.Addr().String()
	return m
}

func (m *master) await(t *testing.T, id string, s api.TaskState) api.AllocStatus {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if st, ok := m.seen[id+string(s)]; ok {
			return st
		}
		select {
		case st := <-m.statuses:
			m.seen[st.ID+string(st.State)] = st
		case <-deadline:
			t.Fatalf("%s was not reported %s", id, s)
		}
	}
}

// program runs ingotd's agent and collector as a node does, and kills the agent.
func program(t *testing.T, l *lab, r *Runtime) {
	m := startMaster(t, l)
	node, err := l.cfg.Identity.Node()
	if err != nil {
		t.Fatal(err)
	}
	node.Masters = []string{m.address}
	b, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.cfg.Identity.Dir, identity.FileNode), b, 0o600); err != nil {
		t.Fatal(err)
	}
	agent := l.ingotd(t, "agent")
	a, nope := alloc("program.1", 31006), alloc("program.2", 31007)
	nope.Image = "registry.ingot/nope:1"
	a.Health = []api.HealthCheck{{Protocol: "MESOS_HTTP", IntervalSeconds: 0.2, MaxConsecutiveFailures: 3}}
	m.sets <- api.AllocSet{Revision: 1, Allocs: []api.Alloc{a, nope}}
	m.await(t, a.ID, api.TaskRunning)
	if st := m.await(t, nope.ID, api.TaskFailed); st.Message != "image registry.ingot/nope:1: not found in the site registry" {
		t.Errorf("got %+v", st)
	}
	get(t, "http://127.0.0.1:31006/")
	pid := pidOf(t, r, a.ID)
	kill(t, agent)
	get(t, "http://127.0.0.1:31006/")
	clear(m.seen)
	agent = l.ingotd(t, "agent")
	m.await(t, a.ID, api.TaskRunning)
	if pidOf(t, r, a.ID) != pid {
		t.Error("the agent's death restarted the task")
	}
	m.sets <- api.AllocSet{Revision: 2, Allocs: []api.Alloc{}}
	m.await(t, a.ID, api.TaskKilled)
	collector := l.ingotd(t, "gc")
	if err := collector.Wait(); err != nil {
		t.Errorf("gc: %v", err)
	}
	kill(t, agent)
}

func (l *lab) ingotd(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(l.bin, "ingotd"), name, "--identity", l.cfg.Identity.Dir, "--data", l.cfg.Data)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
}
