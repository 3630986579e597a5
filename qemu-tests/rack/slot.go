package rack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// A machine that resets itself more often than rebootLimit times within
// rebootWindow stays off: it would do nothing else.
const (
	rebootLimit  = 3
	rebootWindow = time.Minute
)

// slot is one machine's place in the rack, powered or not.
type slot struct {
	rack *Rack
	spec Machine

	power   sync.Mutex // held while the power changes; guards what follows
	token   string
	started bool // once at least

	mu     sync.Mutex // guards what follows
	vm     *vm.Machine
	wanted bool        // the machine should be on
	resets []time.Time // recent ones
	spent  time.Duration
}

// powerOrder starts UEFI machines first: they take longest.
func powerOrder(all []Machine) []Machine {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b Machine) int {
		return rank(a) - rank(b)
	})
	return sorted
}

func rank(m Machine) int {
	if m.Firmware == vm.UEFI {
		return 0
	}
	return 1
}

// Add puts one more machine into the rack and powers it on; token is what
// follows "ingot.token=", empty for none. A machine without addresses gets the
// next free ones.
func (r *Rack) Add(ctx context.Context, m Machine, token string) error {
	if !nameForm.MatchString(m.Name) {
		return api.Errorf(api.KindInvalid, "machine %q: a name is lower-case letters, digits and dashes, 63 at most", m.Name)
	}
	r.mu.Lock()
	if r.slots[m.Name] != nil || r.closing || len(r.order) >= maxMachines {
		r.mu.Unlock()
		return api.Errorf(api.KindConflict, "machine %s: the name is taken, the rack is full, or it is going down", m.Name)
	}
	if m.MAC == "" {
		m.place(len(r.order))
	}
	s := &slot{rack: r, spec: m, token: token}
	r.slots[m.Name] = s
	r.order = append(r.order, m.Name)
	r.mu.Unlock()
	if err := os.MkdirAll(s.dir(), 0o755); err != nil {
		return err
	}
	if err := r.wire.Listen(m.Name, filepath.Join(s.dir(), wireSock)); err != nil {
		return err
	}
	return s.on(ctx)
}

// Machines lists the machines in the order of the rack.
func (r *Rack) Machines() []Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.slots) == 0 {
		return r.config.Machines
	}
	all := make([]Machine, 0, len(r.slots))
	for _, s := range r.slots {
		all = append(all, s.spec)
	}
	slices.SortFunc(all, func(a, b Machine) int { return a.Address.Compare(b.Address) })
	return all
}

// slot finds a machine's place.
func (r *Rack) slot(name string) (*slot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[name]; s != nil {
		return s, nil
	}
	return nil, api.Errorf(api.KindNotFound, "the rack has no machine %q", name)
}

// PowerOn switches a machine on; one that is on stays on.
func (r *Rack) PowerOn(ctx context.Context, name string) error {
	s, err := r.slot(name)
	if err != nil {
		return err
	}
	return s.on(ctx)
}

// PowerCut takes a machine's power away at once; one that is off stays off.
func (r *Rack) PowerCut(name string) error {
	s, err := r.slot(name)
	if err != nil {
		return err
	}
	return s.cut()
}

// ConsolePath is the unix socket of a machine's serial line.
func ConsolePath(dir, machine string) string {
	return filepath.Join(dir, machinesDir, machine, "console.sock")
}

// ConsoleLog is the file with all that a machine has printed.
func ConsoleLog(dir, machine string) string {
	return filepath.Join(dir, machinesDir, machine, vm.ConsoleLog)
}

func (s *slot) dir() string { return filepath.Join(s.rack.config.Dir, machinesDir, s.spec.Name) }

func (s *slot) on(ctx context.Context) error {
	s.power.Lock()
	defer s.power.Unlock()
	s.mu.Lock()
	running := s.vm != nil
	s.wanted = true
	s.mu.Unlock()
	if running {
		return nil
	}
	return s.start(ctx)
}

// start runs a new QEMU; the caller holds power.
func (s *slot) start(ctx context.Context) error {
	r := s.rack
	r.mu.Lock()
	closing := r.closing
	r.mu.Unlock()
	if closing {
		return api.Errorf(api.KindConflict, "machine %s: the rack is going down", s.spec.Name)
	}
	if err := s.renew(ctx); err != nil {
		return err
	}
	r.hub.say(Event{Machine: s.spec.Name, Kind: KindPowered, Text: string(s.spec.Firmware)})
	m, err := vm.Start(ctx, s.config())
	if err != nil {
		return err
	}
	id := m.Process()
	s.mu.Lock()
	s.vm = m
	s.mu.Unlock()
	if err := r.remember(s.spec.Name, &id); err != nil {
		return fmt.Errorf("write down the process of %s: %w", s.spec.Name, err)
	}
	r.work.Go(func() { s.watch(m) })
	return nil
}

// renew gets a machine of the site a fresh token from its second power-on on; a
// stranger keeps what it was given. The caller holds power.
func (s *slot) renew(ctx context.Context) error {
	again := s.started
	s.started = true
	if !again || len(s.spec.Roles) == 0 || s.spec.NoToken {
		return nil
	}
	token, err := s.rack.freshToken(ctx, s.spec.Name)
	if err == nil {
		s.token = token
	}
	return err
}

func (s *slot) config() vm.Config {
	c := vm.Config{
		Name: s.spec.Name, Dir: s.dir(), Firmware: s.spec.Firmware, MAC: s.spec.MAC,
		MemoryMB: s.spec.MemoryMB, UUID: s.spec.UUID, RTC: s.spec.RTC,
		OnEvent: s.heard,
	}
	if s.token != "" {
		c.OEM = []string{api.TokenPrefix + strings.TrimPrefix(s.token, api.TokenPrefix)}
	}
	return c
}

// heard passes on what the node says; what it cost to get to init is known only now.
func (s *slot) heard(e vm.Event) {
	r := fromNode(s.spec.Name, e)
	if r.Kind == KindInit {
		r.CPU = s.status().CPU
	}
	s.rack.hub.say(r)
}

func (s *slot) cut() error {
	s.power.Lock()
	defer s.power.Unlock()
	s.mu.Lock()
	m := s.vm
	s.wanted = false
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	if err := m.PowerCut(); err != nil {
		return err
	}
	s.rack.wire.Unplug(s.spec.Name)
	return s.ended(m)
}

// watch waits for the end of one QEMU and starts the next after a reset.
func (s *slot) watch(m *vm.Machine) {
	<-m.Done()
	s.power.Lock()
	defer s.power.Unlock()
	if err := s.ended(m); err != nil {
		s.problem(err)
	}
	if !s.again(m.End().Reason) {
		return
	}
	if err := s.start(s.rack.ctx); err != nil {
		s.problem(err)
	}
}

// ended books a machine's end, once; the caller holds power.
func (s *slot) ended(m *vm.Machine) error {
	s.mu.Lock()
	first := s.vm == m
	if first {
		s.vm = nil
		s.spent += m.End().CPU
	}
	s.mu.Unlock()
	if !first {
		return nil
	}
	e := m.End()
	s.rack.hub.say(Event{Machine: s.spec.Name, Kind: KindOff, Text: e.Text, CPU: e.CPU})
	return s.rack.remember(s.spec.Name, nil)
}

// again decides whether a machine that ended is started anew.
func (s *slot) again(reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted || s.vm != nil || reason != "reset" && reason != "panic" {
		if reason != "power-cut" {
			s.wanted = false
		}
		return false
	}
	now := time.Now()
	s.resets = slices.DeleteFunc(s.resets, func(t time.Time) bool { return now.Sub(t) > rebootWindow })
	s.resets = append(s.resets, now)
	if len(s.resets) > rebootLimit {
		s.wanted = false
		s.problem(fmt.Errorf("reset itself %d times within %s, stays off: see %s", len(s.resets), rebootWindow, ConsoleLog(s.rack.config.Dir, s.spec.Name)))
		return false
	}
	return true
}

func (s *slot) problem(err error) {
	s.rack.hub.say(Event{Machine: s.spec.Name, Kind: KindProblem, Text: err.Error()})
}

// MachineStatus is a machine and what its power is.
type MachineStatus struct {
	Machine
	On      bool          `json:"on"`
	PID     int           `json:"pid,omitempty"`
	Started time.Time     `json:"started,omitzero"`
	CPU     time.Duration `json:"cpu_ns"`       // since its last power-on
	CPUAll  time.Duration `json:"cpu_total_ns"` // of all its QEMUs
	Console string        `json:"console"`
}

func (s *slot) status() MachineStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := MachineStatus{Machine: s.spec, CPUAll: s.spent, Console: ConsolePath(s.rack.config.Dir, s.spec.Name)}
	if s.vm != nil {
		st.On, st.PID, st.Started, st.CPU = true, s.vm.Process().PID, s.vm.Started.UTC(), s.vm.CPU()
		st.CPUAll += st.CPU
	}
	return st
}
