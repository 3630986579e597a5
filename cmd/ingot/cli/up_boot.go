package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// course is how far one machine has come, folded from the rack's events. Times
// of the host are zero until reached; *US are of the machine's own clock since
// its kernel started.
type course struct {
	machine  rack.Machine
	powered  time.Time
	bytes    int64
	init     time.Time
	initUS   int64
	initCPU  time.Duration // of QEMU from power-on to init
	enrolled time.Time
	targets  map[string]int64 // role targets reached, US
	done     time.Time        // the last of them
	off      bool
	fault    string // what ends the wait
}

// note folds one event in and returns the stage to show.
func (m *course) note(e rack.Event) (stage, detail string) {
	switch e.Kind {
	case rack.KindPowered:
		*m = course{machine: m.machine, powered: e.Time, targets: map[string]int64{}}
		return "power on", string(m.machine.Firmware)
	case rack.KindDHCP:
		return "address " + strings.Fields(e.Text + " -")[0], ""
	case rack.KindBytes:
		m.bytes = e.Bytes
		return "loading the image", mib(e.Bytes)
	case rack.KindInit:
		m.init, m.initUS, m.initCPU = e.Time, e.US, e.CPU
		return "init runs", "enrolling"
	case rack.KindEnrolled:
		m.enrolled = e.Time
		return "enrolled", "starting units"
	case rack.KindUnit:
		if e.State == "failed" {
			return e.Unit + " failed", e.Text
		}
		return "starting units", e.Unit
	case rack.KindTarget:
		m.reach(e)
		if m.ready() {
			return "ready", ""
		}
		return "starting units", e.Unit
	case rack.KindPending:
		m.fault = "is not admitted: " + e.Text
		return "pending", e.Text
	case rack.KindOff:
		m.off = true
		return "off", e.Text
	case rack.KindProblem:
		return "problem", e.Text
	}
	return "", ""
}

func (m *course) reach(e rack.Event) {
	for _, r := range m.machine.Roles {
		if r.Target() == e.Unit {
			m.targets[e.Unit] = e.US
			m.done = e.Time
		}
	}
}

// ready tells whether all targets of the machine's roles are reached.
func (m *course) ready() bool { return len(m.targets) == len(m.machine.Roles) }

// boot follows the machines until all are ready.
func (r *rise) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.patience, errors.New("too slow"))
	defer cancel()
	k := rack.Dial(r.dir)
	defer k.Close()
	r.courses = map[string]*course{}
	for _, m := range r.machines {
		r.courses[m.Name] = &course{machine: m, targets: map[string]int64{}}
	}
	for e, err := range k.Events(ctx) {
		if err != nil {
			return err
		}
		if err := r.note(e); err != nil {
			return err
		}
		if r.allReady() {
			return nil
		}
	}
	return fmt.Errorf("not ready after %s: %s", r.patience, r.behind())
}

// note shows one event and returns what makes waiting pointless.
func (r *rise) note(e rack.Event) error {
	m := r.courses[e.Machine]
	if m == nil {
		if e.Kind == rack.KindProblem {
			return fmt.Errorf("rack: %s", e.Text)
		}
		return nil // a machine that a person has added
	}
	stage, detail := m.note(e)
	if stage != "" {
		r.board.set(e.Machine, stage, detail)
	}
	switch {
	case len(m.machine.Roles) == 0:
		return nil // a stranger to the site gets nowhere, as it should
	case m.fault != "":
		return fmt.Errorf("machine %s %s", e.Machine, m.fault)
	case e.Kind == rack.KindProblem:
		r.board.say("%s: %s", e.Machine, e.Text)
	}
	return nil
}

func (r *rise) allReady() bool {
	for _, m := range r.courses {
		if !m.ready() || m.off && len(m.machine.Roles) > 0 {
			return false
		}
	}
	return true
}

// behind words who has not come where it should.
func (r *rise) behind() string {
	var late []string
	for _, spec := range r.machines {
		m := r.courses[spec.Name]
		switch {
		case m.off:
			late = append(late, spec.Name+" has no power")
		case m.ready():
		case m.powered.IsZero():
			late = append(late, spec.Name+" was not powered on")
		case m.init.IsZero():
			late = append(late, fmt.Sprintf("%s has not started init (%s loaded)", spec.Name, mib(m.bytes)))
		case m.enrolled.IsZero():
			late = append(late, spec.Name+" is not enrolled")
		default:
			late = append(late, spec.Name+" has not reached the targets of its roles")
		}
	}
	return strings.Join(late, ", ")
}
