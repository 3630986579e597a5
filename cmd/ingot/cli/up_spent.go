package cli

import (
	"os"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/image"
)

// Phases of `ingot up`, in the order of the table of where each second went.
const (
	phaseDeps      = "deps"
	phaseCheck     = "check"
	phaseDownload  = string(image.Download)
	phaseCompile   = string(image.Compile)
	phaseAssemble  = string(image.Assemble)
	phaseSite      = "site"
	phasePower     = "rack"
	phaseFirmware  = "firmware"
	phaseKernel    = "kernel+init"
	phaseEnrol     = "enrol"
	phaseTargets   = "targets"
	phaseGather    = "agents register"
	phaseContainer = "first container"
	phaseHealthy   = "healthy"
	phaseAnswer    = "answer"
)

var phaseOrder = []string{
	phaseDeps, phaseCheck, phaseDownload, phaseCompile, phaseAssemble, phaseSite, phasePower, phaseFirmware,
	phaseKernel, phaseEnrol, phaseTargets, phaseGather, phaseContainer, phaseHealthy, phaseAnswer,
}

// callerPhases are environment variables in which the caller says how many
// seconds it has spent before this program could start: on installing packages,
// on fetching modules, on compiling this program.
var callerPhases = map[string]string{
	"INGOT_DEPS_SECONDS":     phaseDeps,
	"INGOT_DOWNLOAD_SECONDS": phaseDownload,
	"INGOT_COMPILE_SECONDS":  phaseCompile,
}

// spent adds up where the time went. It is used by one goroutine.
type spent struct {
	start  time.Time
	before time.Duration // that the caller spent before start
	by     map[string]time.Duration
}

func newSpent() *spent {
	s := &spent{start: time.Now(), by: map[string]time.Duration{}}
	for name, phase := range callerPhases {
		if n, err := strconv.ParseFloat(os.Getenv(name), 64); err == nil && n > 0 {
			s.add(phase, seconds(n))
			s.before += seconds(n)
		}
	}
	return s
}

func (s *spent) add(phase string, d time.Duration) { s.by[phase] += max(d, 0) }

// during returns what ends the phase.
func (s *spent) during(phase string) func() {
	start := time.Now()
	return func() { s.add(phase, time.Since(start)) }
}

func (s *spent) total() time.Duration { return time.Since(s.start) + s.before }

// machines splits the time from power-on to ready by the last machine at each
// step: the machines do these at the same time.
func (s *spent) machines(courses map[string]*course) {
	var power, kernel, init, enrolled, done time.Time
	latest := func(t *time.Time, u time.Time) {
		if u.After(*t) {
			*t = u
		}
	}
	for _, m := range courses {
		if len(m.machine.Roles) == 0 {
			continue
		}
		if power.IsZero() || m.powered.Before(power) {
			power = m.powered
		}
		latest(&kernel, m.init.Add(-micros(m.initUS)))
		latest(&init, m.init)
		latest(&enrolled, m.enrolled)
		latest(&done, m.done)
	}
	s.by[phaseFirmware] = max(kernel.Sub(power), 0)
	s.by[phaseKernel] = max(init.Sub(kernel), 0)
	s.by[phaseEnrol] = max(enrolled.Sub(init), 0)
	s.by[phaseTargets] = max(done.Sub(enrolled), 0)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
