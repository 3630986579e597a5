package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-os/ingot/api"
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
		{rack.Event{Kind: rack.KindInit, US: 2e6, CPU: 1500 * time.Millisecond}, "init runs", false},
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
	if m.initCPU != 1500*time.Millisecond {
		t.Errorf("CPU at init %s", m.initCPU)
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

// TestFigures: one line each, services in the order of their starts, and what the
// caller spent on downloads and compiling is in the phases and in the whole.
func TestFigures(t *testing.T) {
	t.Setenv("INGOT_DEPS_SECONDS", "20")
	t.Setenv("INGOT_DOWNLOAD_SECONDS", "30.5")
	t.Setenv("INGOT_COMPILE_SECONDS", "x")
	s := newSpent()
	s.add(phaseDownload, time.Second)
	s.add(phaseContainer, 2*time.Second)
	if total := s.total(); total < 50500*time.Millisecond || total > 52*time.Second {
		t.Errorf("total %s", total)
	}
	machines, err := rack.ParseRack("m1:master")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := &course{
		machine: machines[0], powered: at, init: at.Add(9 * time.Second), initUS: 2e6,
		initCPU: 8500 * time.Millisecond, targets: map[string]int64{"master.target": 12e6},
	}
	n := seen{
		status: api.NodeStatus{MemTotal: 700e6, MemUsed: 150e6},
		units: []api.UnitStatus{
			{Unit: "scheduler.service", StartedUS: 6e6, ActiveUS: 7500e3, PssKB: 20000},
			{Unit: "store.service", StartedUS: 4e6, ActiveUS: 5900e3},
			{Unit: "gc.service", StartedUS: 9e6},
			{Unit: "master.target", StartedUS: 4e6, ActiveUS: 12e6},
		},
	}
	var out bytes.Buffer
	printFigures(&out, append(s.figures(time.Minute), machineFigures(m, n)...))
	want := `up_total 60.0 s
up_deps 20.0 s
up_download 31.5 s
up_first_container 2.0 s
power_on_to_init_m1 9.0 s
power_on_to_init_cpu_m1 8.5 s
init_to_target_master_m1 10.00 s
unit_store_m1 1.90 s
unit_scheduler_m1 1.50 s
mem_used_master_m1 150.0 MB
pss_scheduler_m1 20.5 MB
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
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
