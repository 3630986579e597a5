package gc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

type fakeEngine struct{ runs []string }

func (f fakeEngine) List(context.Context) ([]api.AllocStatus, error) {
	var list []api.AllocStatus
	for _, id := range f.runs {
		list = append(list, api.AllocStatus{ID: id, State: api.TaskRunning})
	}
	return list, nil
}
func (fakeEngine) Images(context.Context) ([]string, error)  { return nil, nil }
func (fakeEngine) RemoveImage(context.Context, string) error { return nil }
func (fakeEngine) Sweep(context.Context) (int, error)        { return 1, nil }
func (fakeEngine) Close() error                              { return nil }

func TestCollect(t *testing.T) {
	data := t.TempDir()
	write(t, filepath.Join(data, "allocs.json"), []byte(`{"revision":1,"allocs":[{"id":"desired"}]}`))
	now := time.Now().Add(2 * time.Hour)
	big := append(bytes.Repeat([]byte("x"), maxLog), []byte("the end\n")...)
	for _, id := range []string{"desired", "runs", "dead"} {
		write(t, filepath.Join(data, "tasks", id, "stdout"), []byte("a word"))
	}
	write(t, filepath.Join(data, "tasks", "runs", "stderr"), big)
	done, err := collect(t.Context(), data, fakeEngine{[]string{"runs"}}, nil, now)
	if want := (freed{sandboxes: 1, networks: 1, logs: 1}); err != nil || done != want {
		t.Fatalf("freed %+v, %v; want %+v", done, err, want)
	}
	if _, err := os.Stat(filepath.Join(data, "tasks", "dead")); !os.IsNotExist(err) {
		t.Errorf("dead sandbox: %v", err)
	}
	kept, err := os.ReadFile(filepath.Join(data, "tasks", "runs", "stderr.1"))
	if err != nil || len(kept) != keepLog || !bytes.HasSuffix(kept, []byte("the end\n")) {
		t.Errorf("kept %d bytes, %v", len(kept), err)
	}
	if st, err := os.Stat(filepath.Join(data, "tasks", "runs", "stderr")); err != nil || st.Size() != 0 {
		t.Errorf("cut log: %v, %v", st, err)
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnreadableDesiredStateFreesNothing(t *testing.T) {
	data := t.TempDir()
	write(t, filepath.Join(data, "allocs.json"), []byte(`{`))
	if done, err := collect(t.Context(), data, fakeEngine{}, nil, time.Now()); err == nil || done != (freed{}) {
		t.Errorf("freed %+v, %v", done, err)
	}
}

func TestOld(t *testing.T) {
	now := time.Unix(1e6, 0)
	var many []sandbox
	for i := range keepSandboxes + 2 {
		many = append(many, sandbox{fmt.Sprint(i), now.Add(-2*time.Minute - time.Duration(i)*time.Second)})
	}
	for _, tc := range []struct {
		name string
		all  []sandbox
		want []string
	}{
		{"young", []sandbox{{"a", now}}, nil},
		{"an hour", []sandbox{{"a", now.Add(-time.Hour)}, {"b", now.Add(-time.Hour - 1)}}, []string{"b"}},
		{"too many", many, []string{fmt.Sprint(keepSandboxes), fmt.Sprint(keepSandboxes + 1)}},
	} {
		if got := old(tc.all, now); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestUnused(t *testing.T) {
	name := func(s string) (string, error) {
		if s == "" {
			return "base", nil
		}
		return s, nil
	}
	want := api.AllocSet{Allocs: []api.Alloc{{Image: ""}, {Image: "x"}}}
	if got := unused([]string{"base", "x", "y"}, want, name); !slices.Equal(got, []string{"y"}) {
		t.Errorf("got %v", got)
	}
}
