package runtime

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

func alloc(id string, port int) api.Alloc {
	return api.Alloc{
		ID: id, App: "/hello", Image: "registry.ingot/hello:1", Network: "host", Res: api.Resources{CPUs: 0.1, Mem: 64},
		Ports: []api.AllocPort{{Protocol: "tcp", Host: port, Container: port}},
	}
}

func running(st api.AllocStatus) bool  { return st.State == api.TaskRunning }
func terminal(st api.AllocStatus) bool { return st.State.Terminal() }

func pidOf(t *testing.T, r *Runtime, id string) int {
	t.Helper()
	rec, ok, err := r.record(id)
	if err != nil || !ok {
		t.Fatalf("record of %s: %v, %v", id, ok, err)
	}
	return rec.PID
}

// answers waits until containerd itself answers again, not the memory of it.
func answers(t *testing.T, r *Runtime) {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.namespaced(t.Context()), 15*time.Second)
	defer cancel()
	for {
		_, err := r.ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("containerd after its restart: %v", err)
		}
	}
}

func exit(port, code int) {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/exit?code=%d", port, code))
	if err == nil {
		resp.Body.Close()
	}
}

// TestStory is one node's day; its parts build on each other.
func TestStory(t *testing.T) {
	l := newLab(t)
	l.startEngine()
	r := l.open()
	ctx := t.Context()
	const id = "hello.instance-1._app.1"
	first, second := alloc(id, 31001), alloc("hello.instance-2._app.1", 31002)

	t.Run("an image that is not there", func(t *testing.T) {
		a := alloc("nope.1", 31009)
		a.Image = "registry.ingot/nope:1"
		err := r.Start(ctx, a)
		if api.KindOf(err) != api.KindNotFound || err.Error() != "image registry.ingot/nope:1: not found in the site registry" {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a command that is not there leaves nothing", func(t *testing.T) {
		a := alloc("bad.1", 31009)
		a.Cmd = "no shell in this image"
		err := r.Start(ctx, a)
		if err == nil || !strings.Contains(err.Error(), "/bin/sh") {
			t.Fatalf("got %v", err)
		}
		if list, err := r.List(ctx); err != nil || len(list) != 0 {
			t.Fatalf("left %v, %v", list, err)
		}
	})
	t.Run("run and answer", func(t *testing.T) {
		if err := r.Start(ctx, first); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx, second); err != nil {
			t.Fatal(err)
		}
		if got := get(t, "http://127.0.0.1:31001/"); got != "hello from "+id {
			t.Errorf("answer %q", got)
		}
		status := get(t, "http://127.0.0.1:31001/file?path=/proc/self/status")
		for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1"} {
			if !strings.Contains(status, want) {
				t.Errorf("no %q in\n%s", want, status)
			}
		}
		if cg := get(t, "http://127.0.0.1:31001/file?path=/proc/self/cgroup"); !strings.HasSuffix(strings.TrimSpace(cg), "::/") {
			t.Errorf("cgroup seen from inside: %q", cg)
		}
		if log, err := os.ReadFile(r.sandbox(id, "stdout")); err != nil || !strings.Contains(string(log), "listening on 31001") {
			t.Errorf("stdout %q, %v", log, err)
		}
		if log, err := os.ReadFile(r.sandbox(id, "stderr")); err != nil || string(log) != "a word on standard error\n" {
			t.Errorf("stderr %q, %v", log, err)
		}
	})
	pid := pidOf(t, r, id)
	t.Run("start again is no second container", func(t *testing.T) {
		if err := r.Start(ctx, first); err != nil || pidOf(t, r, id) != pid {
			t.Errorf("pid %d became %d, %v", pid, pidOf(t, r, id), err)
		}
	})
	t.Run("command in a container", func(t *testing.T) {
		if code, err := r.Exec(ctx, id, []string{"/webtask", "exit", "7"}); code != 7 || err != nil {
			t.Errorf("got %d, %v", code, err)
		}
	})
	t.Run("containerd is killed and a task exits meanwhile", func(t *testing.T) {
		await(t, r, id, running)
		l.killEngine()
		if got := get(t, "http://127.0.0.1:31001/"); got != "hello from "+id {
			t.Errorf("answer %q", got)
		}
		exit(31002, 3)
		st := await(t, r, second.ID, terminal)
		if st.State != api.TaskFailed || st.ExitCode != 3 {
			t.Errorf("while containerd is dead: %+v", st)
		}
		if err := r.Start(ctx, alloc("later.1", 31003)); api.KindOf(err) != api.KindUnavailable {
			t.Errorf("start without containerd: %v", err)
		}
		l.startEngine()
		answers(t, r)
		await(t, r, id, running)
		if st := await(t, r, second.ID, terminal); st.ExitCode != 3 {
			t.Errorf("after its restart: %+v", st)
		}
		if pidOf(t, r, id) != pid {
			t.Error("the task was restarted")
		}
		get(t, "http://127.0.0.1:31001/")
		if err := r.Remove(ctx, second.ID); err != nil {
			t.Error(err)
		}
	})
	t.Run("the agent restarts", func(t *testing.T) {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = l.open()
		await(t, r, id, running)
		if pidOf(t, r, id) != pid {
			t.Error("the task was restarted")
		}
		exit(31001, 0)
		if st := await(t, r, id, terminal); st.State != api.TaskFinished {
			t.Errorf("got %+v", st)
		}
		if err := r.Remove(ctx, id); err != nil {
			t.Error(err)
		}
	})
	t.Run("a task exits while the agent is away", func(t *testing.T) {
		a := alloc("away.1", 31004)
		if err := r.Start(ctx, a); err != nil {
			t.Fatal(err)
		}
		get(t, "http://127.0.0.1:31004/")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		exit(31004, 4)
		r = l.open()
		if st := await(t, r, a.ID, terminal); st.ExitCode != 4 {
			t.Errorf("got %+v", st)
		}
		if err := r.Remove(ctx, a.ID); err != nil {
			t.Error(err)
		}
	})
	t.Run("bridge", func(t *testing.T) { bridged(t, r) })
	t.Run("the agent as a program", func(t *testing.T) { program(t, l, r) })
	t.Run("nothing is left", func(t *testing.T) {
		if list, err := r.List(ctx); err != nil || len(list) != 0 {
			t.Errorf("left %v, %v", list, err)
		}
	})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	l.killEngine()
}

func bridged(t *testing.T, r *Runtime) {
	if err := r.net.Setup(); err != nil {
		t.Skipf("this kernel has no bridge, veth or nftables NAT: %v", err)
	}
	ctx := t.Context()
	a := alloc("bridged.1", 31005)
	a.Network, a.Ports[0].Container = "bridge", 8080
	if err := r.Start(ctx, a); err != nil {
		t.Fatal(err)
	}
	st := await(t, r, a.ID, running)
	if st.IP != "172.31.254.2" {
		t.Errorf("address %q", st.IP)
	}
	get(t, "http://"+st.IP+":8080/")
	get(t, "http://"+nodeAddress+":31005/")
	if err := r.Stop(ctx, a.ID, time.Second); err != nil {
		t.Error(err)
	}
	if st := await(t, r, a.ID, terminal); st.State != api.TaskFailed {
		t.Errorf("stopped: %+v", st)
	}
	if err := r.Remove(ctx, a.ID); err != nil {
		t.Error(err)
	}
	if n, err := r.Sweep(ctx); n != 0 || err != nil {
		t.Errorf("left %d networks, %v", n, err)
	}
}
