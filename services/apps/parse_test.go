package apps

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-os/ingot/api"
)

func TestParseDefaults(t *testing.T) {
	p, err := Parse([]byte(`{"id":"sleep","cmd":"sleep 1","mem":null,"upgradeStrategy":{"minimumHealthCapacity":0.5},
		"healthChecks":[{"portIndex":0,"intervalSeconds":null}],"nonsense":1,"tasksRunning":7}`))
	if err != nil {
		t.Fatal(err)
	}
	a := p.App
	if a.ID != "/sleep" || a.CPUs != 1 || a.Mem != 128 || a.Instances != 1 || a.BackoffFactor != 1.15 || a.TasksRunning != 0 {
		t.Errorf("defaults: %+v", a)
	}
	if a.UpgradeStrategy.MinimumHealthCapacity != 0.5 || a.UpgradeStrategy.MaximumOverCapacity != 1 {
		t.Errorf("upgradeStrategy: %+v", a.UpgradeStrategy)
	}
	if len(a.PortDefinitions) != 1 || a.Networks[0].Mode != "host" {
		t.Errorf("ports %v, networks %v", a.PortDefinitions, a.Networks)
	}
	if h := a.HealthChecks[0]; h.IntervalSeconds != 60 || h.Path != "/" || h.GracePeriodSeconds != 300 {
		t.Errorf("health check: %+v", h)
	}
	if !slices.Equal(p.Ignored, []string{"nonsense"}) {
		t.Errorf("ignored: %v", p.Ignored)
	}
}

func TestParseRefuses(t *testing.T) {
	for body, path := range map[string]string{
		`{"cmd":"x"}`:                                                                                   "/id",
		`{"id":"A","cmd":"x"}`:                                                                          "/id",
		`{"id":"/a/tasks/b","cmd":"x"}`:                                                                 "/id",
		`{"id":"a"}`:                                                                                    "/",
		`{"id":"a","cmd":"x","args":["y"]}`:                                                             "/",
		`{"id":"a","args":["y"]}`:                                                                       "/args",
		`{"id":"a","cmd":"x","cpus":-1}`:                                                                "/cpus",
		`{"id":"a","cmd":"x","cpus":"2"}`:                                                               "/cpus",
		`{"id":"a","cmd":"x","instances":-1}`:                                                           "/instances",
		`{"id":"a","cmd":"x","instances":1.5}`:                                                          "/instances",
		`{"id":"a","cmd":"x","env":{"K":{"secret":"s"}}}`:                                               "/env/K",
		`{"id":"a","cmd":"x","secrets":{"s":{"source":"p"}}}`:                                           "/secrets",
		`{"id":"a","cmd":"x","fetch":[{"uri":"http://h/f"}]}`:                                           "/fetch",
		`{"id":"a","cmd":"x","container":{"type":"MESOS","volumes":[{}]}}`:                              "/container/volumes",
		`{"id":"a","container":{"docker":{"image":"i","privileged":true}}}`:                             "/container/docker/privileged",
		`{"id":"a","container":{"docker":{"image":"i","network":"USER"}}}`:                              "/container/docker/network",
		`{"id":"a","container":{"type":"DOCKER"},"cmd":"x"}`:                                            "/container/docker/image",
		`{"id":"a","container":[],"cmd":"x"}`:                                                           "/container",
		`{"id":"a","cmd":"x","networks":[{"mode":"container","name":"n"}]}`:                             "/networks(0)/mode",
		`{"id":"a","cmd":"x","networks":[{"mode":"host"},{"mode":"host"}]}`:                             "/networks",
		`{"id":"a","cmd":"x","portDefinitions":[{"name":"a"},{"name":"a"}]}`:                            "/portDefinitions(1)/name",
		`{"id":"a","cmd":"x","portDefinitions":[{"port":70000}]}`:                                       "/portDefinitions(0)",
		`{"id":"a","cmd":"x","healthChecks":[{"portIndex":3}]}`:                                         "/healthChecks(0)/portIndex",
		`{"id":"a","cmd":"x","healthChecks":[{"protocol":"COMMAND"}]}`:                                  "/healthChecks(0)/command",
		`{"id":"a","cmd":"x","constraints":[["hostname","NEAR"]]}`:                                      "/constraints(0)",
		`{"id":"a","cmd":"x","acceptedResourceRoles":["gold"]}`:                                         "/acceptedResourceRoles(0)",
		`{"id":"a","cmd":"x","unreachableStrategy":{"inactiveAfterSeconds":9,"expungeAfterSeconds":1}}`: "/unreachableStrategy",
		`{"id":"a","cmd":"x","killSelection":"ANY"}`:                                                    "/killSelection",
	} {
		_, err := Parse([]byte(body))
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Status() != 422 || !slices.ContainsFunc(e.Details, func(d api.ErrorDetail) bool { return d.Path == path }) {
			t.Errorf("%s: %v, want 422 at %s", body, err, path)
		}
	}
}

func TestParseUnreadable(t *testing.T) {
	for _, body := range []string{``, `{`, `[]`, `null`, `"x"`, `{} {}`, "\xff"} {
		if _, err := Parse([]byte(body)); api.KindOf(err) != api.KindBadRequest {
			t.Errorf("%q: %v, want 400", body, err)
		}
	}
}

func TestMerge(t *testing.T) {
	base := parse(t, `{"id":"a","args":["x"],"container":{"docker":{"image":"i"}},"portDefinitions":[],"env":{"A":"1","B":"2"},"mem":64}`)
	got := merge(t, base, `{"id":"/a","instances":3,"ports":null,"dependencies":null}`)
	if got.Instances != 3 || got.Mem != 64 || len(got.PortDefinitions) != 0 || len(got.Args) != 1 {
		t.Errorf("scaled: %+v", got)
	}
	got = merge(t, got, `{"cmd":"y","mem":null,"env":{"A":"3"}}`)
	if *got.Cmd != "y" || len(got.Args) != 0 || got.Mem != 128 || len(got.Env) != 1 {
		t.Errorf("changed: %+v", got)
	}
	if _, err := Merge(base, []byte(`{"id":"b"}`)); api.KindOf(err) != api.KindInvalid {
		t.Errorf("renamed: %v", err)
	}
}

func parse(t *testing.T, body string) api.App {
	t.Helper()
	p, err := Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p.App
}

func merge(t *testing.T, a api.App, body string) api.App {
	t.Helper()
	p, err := Merge(a, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p.App
}

func TestInstance(t *testing.T) {
	a := parse(t, `{"id":"/g/web","container":{"docker":{"image":"nginx","network":"BRIDGE","portMappings":[{"containerPort":80,"name":"http-api"},{}]}},
		"cpus":0.1,"labels":{"my-label":"v"},"env":{"HOST":"mine"}}`)
	a.Version = "v1"
	alloc := Instance(a, TaskID(a.ID, "u"), Place{Node: "n1", Address: "10.77.0.12", Ports: []int{31000, 31001}})
	if alloc.ID != "g_web.instance-u._app.1" || alloc.Network != "bridge" || alloc.Image != "nginx" || alloc.Ports[0].Container != 80 || alloc.Ports[1].Container != 31001 {
		t.Errorf("alloc: %+v", alloc)
	}
	for k, v := range map[string]string{
		"PORT": "80", "PORT0": "80", "PORT1": "31001", "PORTS": "80,31001", "PORT_HTTP_API": "80", "HOST": "mine",
		"MESOS_TASK_ID": alloc.ID, "MARATHON_APP_ID": "/g/web", "MARATHON_APP_VERSION": "v1", "MARATHON_APP_LABEL_MY_LABEL": "v",
		"MARATHON_APP_RESOURCE_CPUS": "0.1", "MARATHON_APP_RESOURCE_MEM": "128.0", "MARATHON_APP_DOCKER_IMAGE": "nginx",
	} {
		if alloc.Env[k] != v {
			t.Errorf("%s is %q, want %q", k, alloc.Env[k], v)
		}
	}
}

// TestRealDefinitions reads definitions from DC/OS' own tests, in the folder
// that MARATHON_DEFINITIONS names.
func TestRealDefinitions(t *testing.T) {
	dir := os.Getenv("MARATHON_DEFINITIONS")
	files, _ := filepath.Glob(filepath.Join(dir, "app-*.json"))
	if dir == "" || len(files) == 0 {
		t.Skip("MARATHON_DEFINITIONS names no folder of app-*.json")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(b)
		if err != nil && (api.KindOf(err) != api.KindInvalid || !strings.Contains(err.Error(), unsupported)) {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
		t.Logf("%s: %v ignored %v", filepath.Base(f), err, p.Ignored)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"id":"a","cmd":"x"}`)
	f.Add(`{"id":"/a/b","container":{"type":"DOCKER","docker":{"image":"i","network":"BRIDGE","portMappings":[{"containerPort":80}]}},"networks":[{"mode":"container/bridge"}]}`)
	f.Add(`{"id":"a","args":["y"],"healthChecks":[{"protocol":"COMMAND","command":{"value":"v"}}],"constraints":[["hostname","LIKE","("]],"unreachableStrategy":"disabled","ports":[0,1]}`)
	f.Fuzz(func(t *testing.T, body string) {
		p, err := Parse([]byte(body))
		if err != nil {
			if k := api.KindOf(err); k != api.KindInvalid && k != api.KindBadRequest {
				t.Fatalf("%v is of kind %s", err, k)
			}
			return
		}
		b, err := json.Marshal(p.App)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Merge(p.App, b)
		if err != nil {
			t.Fatalf("what GET answers cannot be PUT back: %v\n%s", err, b)
		}
		if b2, _ := json.Marshal(again.App); string(b2) != string(b) {
			t.Fatalf("PUT of what GET answers changes it:\n%s\n%s", b, b2)
		}
		Instance(p.App, "id", Place{Ports: make([]int, len(HostPorts(p.App)))})
	})
}
