package runtime

import (
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"

	"github.com/ingot-os/ingot/api"
)

func TestConclude(t *testing.T) {
	start := time.Unix(1000, 0).UTC()
	ran := Record{ID: "x", Boot: "b", PID: 7, StartedAt: start}
	noted := ran
	noted.Exit = &Exit{Code: 3, At: start}
	for _, tc := range []struct {
		name   string
		rec    Record
		status client.ProcessStatus
		code   uint32
		boot   string
		oom    bool
		state  api.TaskState
		exit   int
		note   bool
	}{
		{name: "runs", rec: ran, status: client.Running, boot: "b", state: api.TaskRunning},
		{name: "exited 0", rec: ran, status: client.Stopped, boot: "b", state: api.TaskFinished, note: true},
		{name: "exited 3", rec: ran, status: client.Stopped, code: 3, boot: "b", state: api.TaskFailed, exit: 3, note: true},
		{name: "out of memory", rec: ran, status: client.Stopped, code: 137, oom: true, boot: "b", state: api.TaskFailed, exit: 137, note: true},
		{name: "noted, containerd forgot", rec: noted, status: client.Unknown, boot: "b", state: api.TaskFailed, exit: 3},
		{name: "nobody saw it end", rec: ran, status: client.Unknown, boot: "b", state: api.TaskFailed},
		{name: "the node rebooted", rec: ran, status: client.Unknown, boot: "c", state: api.TaskStaging},
		{name: "created, not started", rec: ran, status: client.Created, boot: "b", state: api.TaskStaging},
		{name: "no record", rec: Record{ID: "x"}, status: client.Unknown, boot: "b", state: api.TaskStaging},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st, note := conclude(tc.rec, client.Status{Status: tc.status, ExitStatus: tc.code, ExitTime: start}, tc.boot, func(string) bool { return tc.oom })
			if st.State != tc.state || st.ExitCode != tc.exit || (note != nil) != tc.note {
				t.Errorf("got %+v, note %v", st, note)
			}
			if st.State == api.TaskFailed && st.Message == "" {
				t.Error("a failure without a word")
			}
		})
	}
}

func TestReference(t *testing.T) {
	for in, want := range map[string]string{
		"":                       BaseImage,
		"registry.ingot/hello:1": "registry.ingot/hello:1",
		"nginx":                  "docker.io/library/nginx:latest",
		"quay.io/a/b":            "quay.io/a/b:latest",
	} {
		if got, err := Reference(in); got != want || err != nil {
			t.Errorf("Reference(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := Reference("NOT an image"); api.KindOf(err) != api.KindInvalid {
		t.Errorf("got %v", err)
	}
}
