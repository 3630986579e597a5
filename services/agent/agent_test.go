package agent

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/ingot-os/ingot/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an agent under test: fake runtime, fake master, real folder.
type node struct {
	t      *testing.T
	rt     *fakeRuntime
	master *fakeMaster
	data   string
	stop   func()
}

func newNode(t *testing.T) *node {
	n := &node{t: t, rt: newFakeRuntime(), master: newFakeMaster(t), data: t.TempDir()}
	n.start()
	t.Cleanup(func() { n.stop() })
	return n
}

// start runs the agent as run does, on the fake master's client.
func (n *node) start() {
	ctx, cancel := context.WithCancel(n.t.Context())
	id := api.NodeIdentity{Name: "n1", Address: "127.0.0.1", Roles: []api.Role{api.RoleAgent}, Masters: []string{n.master.address()}}
	inv, err := inventory(id, n.data)
	if err != nil {
		n.t.Fatal(err)
	}
	l := newLoop(id, n.rt, folder(n.data))
	l.restore()
	client := n.master.srv.Client()
	s := &session{inventory: inv, masters: id.Masters, client: client, board: l.board, sets: l.sets}
	talked, looped := make(chan struct{}), make(chan struct{})
	go func() { s.run(ctx); close(talked) }()
	go func() { l.run(ctx); close(looped) }()
	n.stop = func() { cancel(); <-looped; <-talked; client.CloseIdleConnections() }
}

func alloc(id string) api.Alloc {
	return api.Alloc{ID: id, App: "/x", Network: "host", KillGraceSeconds: 1}
}

func TestRunReportStop(t *testing.T) {
	n := newNode(t)
	n.master.want(alloc("a"), alloc("b"))
	n.master.await("a", api.TaskRunning)
	n.master.await("b", api.TaskRunning)
	if inv := n.master.registered(); inv.Node != "n1" || inv.Total.CPUs < 1 || inv.Total.Mem <= 0 || inv.Total.Disk <= 0 {
		t.Errorf("inventory %+v", inv)
	}
	n.rt.exit("b", 3)
	if st := n.master.await("b", api.TaskFailed); st.ExitCode != 3 {
		t.Errorf("got %+v", st)
	}
	n.master.want(alloc("b"))
	n.master.await("a", api.TaskKilled)
	if got := n.rt.startsOf("b"); got != 1 {
		t.Errorf("an ended instance was started %d times", got)
	}
	n.rt.awaitGone(t, "a")
}

func TestImageThatIsNotThere(t *testing.T) {
	n := newNode(t)
	const text = "image registry.ingot/nope:1: not found in the site registry"
	n.rt.refuse("a", api.Errorf(api.KindNotFound, text))
	n.master.want(alloc("a"))
	if st := n.master.await("a", api.TaskFailed); st.Message != text {
		t.Errorf("got %+v", st)
	}
}

func TestContainerdAway(t *testing.T) {
	n := newNode(t)
	n.rt.refuse("a", api.Errorf(api.KindUnavailable, "containerd does not answer"))
	n.master.want(alloc("a"))
	n.master.await("a", api.TaskStaging)
	n.rt.refuse("a", nil)
	n.master.await("a", api.TaskRunning)
}

func TestRestartKeepsWhatRunsWithoutAMaster(t *testing.T) {
	n := newNode(t)
	n.rt.refuse("bad", api.Errorf(api.KindInvalid, "no"))
	n.master.want(alloc("a"), alloc("bad"))
	n.master.await("a", api.TaskRunning)
	n.master.await("bad", api.TaskFailed)
	n.stop()
	n.master.mute(true)
	n.rt.lose("a") // as a power cut does
	n.rt.refuse("bad", nil)
	n.start()
	n.rt.awaitStarts(t, "a", 2)
	n.master.mute(false)
	n.master.await("a", api.TaskRunning)
	if got := n.rt.startsOf("bad"); got != 1 {
		t.Errorf("a failed instance was started %d times", got)
	}
	n.stop()
	n.start()
	n.master.forget()
	n.master.await("a", api.TaskRunning)
	if got := n.rt.startsOf("a"); got != 2 {
		t.Errorf("an agent's restart started it again: %d starts", got)
	}
}

func TestUnreadableStateEndsNothing(t *testing.T) {
	n := newNode(t)
	n.master.want(alloc("a"))
	n.master.await("a", api.TaskRunning)
	n.stop()
	if err := os.WriteFile(filepath.Join(n.data, "allocs.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.master.forget()
	n.master.await("a", api.TaskRunning)
	if n.rt.startsOf("a") != 1 {
		t.Error("it was started again")
	}
}

func TestHealth(t *testing.T) {
	ok := make(chan bool, 1)
	ok <- true
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		good := <-ok
		ok <- good
		if !good {
			http.Error(w, "ill", http.StatusInternalServerError)
		}
	}))
	defer app.Close()
	_, port, err := net.SplitHostPort(app.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t)
	a := alloc("a")
	a.Ports = []api.AllocPort{{Protocol: "tcp", Host: number, Container: number}}
	check := api.HealthCheck{Protocol: "MESOS_HTTP", Path: "/", IntervalSeconds: 0.05, TimeoutSeconds: 2, MaxConsecutiveFailures: 3}
	a.Health = []api.HealthCheck{check, {Protocol: "TCP", IntervalSeconds: 0.05}, {Protocol: "COMMAND", Command: &api.HealthCommand{Value: "true"}, IntervalSeconds: 0.05}}
	n.master.want(a)
	n.master.awaitThat("a", "healthy", func(st api.AllocStatus) bool { return st.Healthy != nil && *st.Healthy })
	<-ok
	ok <- false
	st := n.master.await("a", api.TaskFailed)
	if want := "health check failed: GET http://127.0.0.1:" + port + "/: 500 Internal Server Error (3 times in a row)"; st.Message != want {
		t.Errorf("got %q, want %q", st.Message, want)
	}
}
