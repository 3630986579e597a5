package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

func open(t *testing.T, dir string, l Limits) *Journal {
	t.Helper()
	j, err := Open(dir, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func messages(t *testing.T, j *Journal, q Query) []string {
	t.Helper()
	var out []string
	err := j.Read(context.Background(), q, func(e api.LogEntry) error {
		out = append(out, e.Message)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCaptureAndQuery(t *testing.T) {
	j := open(t, t.TempDir(), Defaults)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "plain\n<3>broken\n\n<9>no level\nlast without newline")
	w.Close()
	j.Capture("a.service", r)
	j.Write(api.LogEntry{Unit: "b.service", Message: "other"})
	if got := strings.Join(messages(t, j, Query{Unit: "a.service"}), "|"); got != "plain|broken|<9>no level|last without newline" {
		t.Errorf("%q", got)
	}
	if got := messages(t, j, Query{Lines: 2}); len(got) != 2 || got[1] != "other" {
		t.Errorf("%q", got)
	}
}

func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Defaults)
	j.Write(api.LogEntry{Unit: "a", Message: "whole"})
	f, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"unit":"a","mess`)
	f.Close()
	j = open(t, dir, Defaults)
	j.Write(api.LogEntry{Unit: "a", Message: "after"})
	if got := strings.Join(messages(t, j, Query{}), "|"); got != "whole|after" {
		t.Errorf("%q", got)
	}
}

func TestRateAndSize(t *testing.T) {
	dir := t.TempDir()
	l := Limits{Bytes: 4096, Burst: 5, Interval: time.Minute, Line: 20}
	j := open(t, dir, l)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 9 {
		j.Write(api.LogEntry{Time: start, Unit: "a", Message: fmt.Sprint(i)})
	}
	j.Write(api.LogEntry{Time: start.Add(time.Hour), Unit: "a", Message: strings.Repeat("x", 30)})
	got := strings.Join(messages(t, j, Query{}), "|")
	if want := "0|1|2|3|4|4 records dropped: more than 5 in 1m0s|" + strings.Repeat("x", 20) + "…"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range 200 {
		j.Write(api.LogEntry{Unit: fmt.Sprint(i), Message: "fill"})
	}
	total := int64(0)
	for _, f := range []string{"journal", "journal.1"} {
		st, err := os.Stat(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		total += st.Size()
	}
	if total > l.Bytes {
		t.Errorf("%d bytes on disk, cap %d", total, l.Bytes)
	}
}

func TestFollow(t *testing.T) {
	j := open(t, t.TempDir(), Defaults)
	j.Write(api.LogEntry{Unit: "a", Message: "old"})
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan string)
	done := make(chan error)
	go func() {
		done <- j.Read(ctx, Query{Unit: "a", Follow: true}, func(e api.LogEntry) error {
			got <- e.Message
			return nil
		})
	}()
	if m := <-got; m != "old" {
		t.Errorf("%q", m)
	}
	j.Write(api.LogEntry{Unit: "b", Message: "not asked for"})
	j.Write(api.LogEntry{Unit: "a", Message: "new"})
	if m := <-got; m != "new" {
		t.Errorf("%q", m)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
