package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// TestCourse folds the events of one machine's boot.
func TestCourse(t *testing.T) {
	machines, err := rack.ParseRack("m1:master+agent")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &course{machine: machines[0], targets: map[string]int64{}}
	for _, step := range []struct {
		e     rack.Event
		stage string
		ready bool
	}{
		{rack.Event{Kind: rack.KindPowered}, "power on", false},
		{rack.Event{Kind: rack.KindDHCP, Text: "10.77.0.11 bios-ipxe"}, "address 10.77.0.11", false},
		{rack.Event{Kind: rack.KindBytes, Bytes: 5e6}, "loading the image", false},
		{rack.Event{Kind: rack.KindInit, US: 2e6}, "init runs", false},
		{rack.Event{Kind: rack.KindAdmitted}, "", false},
		{rack.Event{Kind: rack.KindEnrolled}, "enrolled", false},
		{rack.Event{Kind: rack.KindUnit, Unit: "store.service", State: "active"}, "starting units", false},
		{rack.Event{Kind: rack.KindTarget, Unit: "master.target", US: 5e6}, "starting units", false},
		{rack.Event{Kind: rack.KindTarget, Unit: "boot.target", US: 5e6}, "starting units", false},
		{rack.Event{Kind: rack.KindUnit, Unit: "agent.service", State: "failed"}, "agent.service failed", false},
		{rack.Event{Kind: rack.KindTarget, Unit: "agent.target", US: 7e6}, "ready", true},
	} {
		start = start.Add(time.Second)
		step.e.Time = start
		stage, _ := m.note(step.e)
		if stage != step.stage || m.ready() != step.ready {
			t.Errorf("%s %s: stage %q ready %v, want %q %v", step.e.Kind, step.e.Unit, stage, m.ready(), step.stage, step.ready)
		}
	}
	if got := m.init.Sub(m.powered); got != 3*time.Second {
		t.Errorf("power-on to init %s", got)
	}
	if got := m.toTarget(); got != 5*time.Second {
		t.Errorf("init to target %s", got)
	}
	s := newSpent()
	s.machines(map[string]*course{"m1": m})
	for phase, want := range map[string]time.Duration{
		phaseFirmware: time.Second, phaseKernel: 2 * time.Second, phaseEnrol: 2 * time.Second, phaseTargets: 5 * time.Second,
	} {
		if s.by[phase] != want {
			t.Errorf("%s took %s, want %s", phase, s.by[phase], want)
		}
	}
	m.note(rack.Event{Kind: rack.KindPowered, Time: start})
	if m.ready() || !m.init.IsZero() {
		t.Error("a machine powered on again starts from nothing")
	}
}

// TestUndoKeepsLogs: after a failure only the logs are left, and the error says
// where.
func TestUndoKeepsLogs(t *testing.T) {
	build := t.TempDir()
	r := &rise{c: &call{stderr: new(bytes.Buffer)}, dir: filepath.Join(build, "rack")}
	r.machines, _ = rack.ParseRack("m1:master")
	for _, name := range []string{rackLog, provisionerConfig, rackConfig, "site/site.json"} {
		path := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	err := r.undo(errors.New("it broke"))
	if err == nil || !strings.Contains(err.Error(), "it broke; logs are in "+filepath.Join(build, "failed", "up")) {
		t.Errorf("error is %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(build, "failed", "up", rackLog)); string(b) != rackLog {
		t.Errorf("the log is not kept: %v", err)
	}
	if left, _ := os.ReadDir(r.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBoardOffTerminal prints a line per stage, not per detail.
func TestBoardOffTerminal(t *testing.T) {
	var out bytes.Buffer
	b := newBoard(&out)
	b.phase("machines")
	b.set("m1", "loading", "1 MB")
	b.set("m1", "loading", "2 MB")
	b.set("a1", "power on", "")
	b.say("step done")
	b.set("m1", "init runs", "")
	b.close()
	b.close()
	if n := strings.Count(out.String(), "\n"); n != 4 || strings.Contains(out.String(), "2 MB") {
		t.Errorf("printed:\n%s", out.String())
	}
}
