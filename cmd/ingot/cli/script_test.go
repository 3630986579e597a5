package cli

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ingot-os/ingot/api"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ingot": func() { os.Exit(Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command line against a site that answers as router,
// scheduler, nodes and provisioner do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			return newFake(e).write(e.WorkDir)
		},
	})
}

// fake is a site with the nodes m1, a1 and a2, of which a2 has no power, and the
// apps hello and big, of which big fits nowhere.
type fake struct {
	server *httptest.Server
}

const fakeToken = "h.c.s"

func newFake(e *testscript.Env) *fake {
	f := &fake{}
	cut := new(atomic.Int32) // restarts of the router
	mux := http.NewServeMux()
	for pattern, v := range answers() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) })
	}
	mux.HandleFunc("GET /system/v1/node/{name}/v1/log", fakeLog)
	mux.HandleFunc("POST /system/v1/node/a1/v1/units/{id}/restart", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(api.UnitStatus{Unit: r.PathValue("id"), Active: "active", Sub: "running"})
	})
	mux.HandleFunc("GET /system/v1/node/a1/v1/units/{id}", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(api.UnitStatus{Unit: r.PathValue("id"), Active: "active", Invocation: fmt.Sprint(cut.Load())})
	})
	mux.HandleFunc("POST /system/v1/node/a1/v1/units/router.service/restart", func(http.ResponseWriter, *http.Request) {
		cut.Add(1)
		panic(http.ErrAbortHandler) // as the router does to those it carries
	})
	mux.HandleFunc("/system/v1/node/{name}/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "no node %q", r.PathValue("name")).WithHint("nodes are m1, a1, a2"))
	})
	mux.HandleFunc("GET /system/v1/task/{id}/{file}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s of %s, %s\n", r.PathValue("file"), r.PathValue("id"), r.URL.RawQuery)
	})
	mux.HandleFunc("POST /service/marathon/v2/apps", fakeAdd)
	mux.HandleFunc("/service/marathon/v2/apps/{id}", func(w http.ResponseWriter, r *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "App '/%s' does not exist", r.PathValue("id")))
	})
	f.server = httptest.NewTLSServer(authed(mux))
	e.Defer(f.server.Close)
	return f
}

func authed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token="+fakeToken {
			api.WriteError(w, api.Errorf(api.KindUnauth, "who are you"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answers() map[string]any {
	then := time.Now().Add(-90 * time.Second)
	node := func(name, address string, alive bool, roles ...api.Role) api.NodeSummary {
		return api.NodeSummary{
			AgentInventory: api.AgentInventory{Node: name, Address: address, Roles: roles, Total: api.Resources{CPUs: 1, Mem: 512}},
			Alive:          alive, Since: then,
		}
	}
	hello := api.App{ID: "/hello", Instances: 2, TasksRunning: 2, TasksHealthy: 2, HealthChecks: []api.HealthCheck{{}}, Labels: map[string]string{"DCOS_SERVICE_NAME": "hello"}}
	return map[string]any{
		"GET /{$}":                         map[string]string{"site": "test", "version": "1"},
		"GET /system/v1/nodes":             []api.NodeSummary{node("m1", "10.0.0.1", true, api.RoleMaster), node("a1", "10.0.0.2", true, api.RoleAgent), node("a2", "10.0.0.3", false, api.RoleAgent)},
		"GET /system/v1/node/m1/v1/status": api.NodeStatus{Name: "m1", Roles: []api.Role{api.RoleMaster}, State: "running", MemTotal: 700e6, MemUsed: 150e6, UptimeUS: 60e6, Clock: "synchronized"},
		"GET /system/v1/node/a1/v1/status": api.NodeStatus{
			Name: "a1", State: "degraded", MemTotal: 700e6, MemUsed: 100e6, UptimeUS: 50e6,
			Problems: []api.Problem{{What: "gc.service failed", Since: then, Next: "ingot log show gc.service --node a1"}},
		},
		"GET /system/v1/node/m1/v1/units":        []api.UnitStatus{{Unit: "store.service", Active: "active", Sub: "running", PssKB: 4096}},
		"GET /system/v1/node/a1/v1/units":        []api.UnitStatus{{Unit: "agent.service", Active: "active", Sub: "running", Restarts: 2}},
		"GET /service/marathon/v2/apps":          map[string]any{"apps": []api.App{hello, {ID: "/big", Instances: 1}}},
		"GET /service/marathon/v2/apps/hello":    map[string]any{"app": hello},
		"DELETE /service/marathon/v2/apps/hello": map[string]any{"version": "v", "deploymentId": "d"},
		"GET /service/marathon/v2/tasks": map[string]any{"tasks": []api.Task{
			{ID: "hello.1", AppID: "/hello", Host: "a1", Ports: []int{31000}, State: api.TaskRunning, HealthCheckResults: []api.HealthCheckResult{{Alive: true}}},
		}},
		"GET /service/marathon/v2/queue": map[string]any{"queue": []any{map[string]any{
			"app": map[string]string{"id": "/big"}, "count": 1, "since": then.UTC().Format(time.RFC3339),
			"processedOffersSummary": map[string]any{"rejectSummaryLastOffers": []any{map[string]any{"reason": "InsufficientCpus", "declined": 2, "processed": 2}}},
		}}},
	}
}

func fakeLog(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	at := map[string]int64{"m1": 2, "a1": 1}[name]
	e := api.LogEntry{Time: time.Unix(1e9+at, 0), Unit: "agent.service", PID: 7, Message: "hello from " + name + " " + r.URL.RawQuery}
	_ = json.NewEncoder(w).Encode(e)
}

func fakeAdd(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(b), `"id"`) {
		e := api.Errorf(api.KindInvalid, "Object is not valid")
		e.Details = []api.ErrorDetail{{Path: "/id", Errors: []string{"must not be empty"}}}
		api.WriteError(w, e)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(b)
}

// write leaves a site's folder in dir, as ingot up does.
func (f *fake) write(dir string) error {
	at := filepath.Join(dir, "build", "rack", "site")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "build", "rack", "machines", "m1"), 0o755); err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
	return writeJSON(filepath.Join(at, siteName), siteFile{Name: "test", URL: f.server.URL, CA: string(ca), Token: fakeToken})
}
