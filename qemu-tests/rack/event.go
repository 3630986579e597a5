package rack

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// What happens to machines, as Event.Kind.
const (
	KindPowered  = "powered"  // on
	KindDHCP     = "dhcp"     // the provisioner gave it an address
	KindBytes    = "bytes"    // boot files on their way; Bytes counts
	KindInit     = "init"     // its PID 1 runs; CPU what it cost to get there
	KindUnit     = "unit"     // a unit became active or failed
	KindPending  = "pending"  // asked for admission without a valid token; Text says why
	KindAdmitted = "admitted" // the site gave it a certificate
	KindEnrolled = "enrolled" // it has the certificate
	KindTarget   = "target"   // a unit named *.target became active
	KindProblem  = "problem"  // Text is one line
	KindOff      = "off"      // QEMU has ended; Text says how, CPU what it cost
)

// Event is something that happened to a machine, or, with an empty Machine, to
// the rack as a whole.
type Event struct {
	Time    time.Time     `json:"time"` // the host's
	Machine string        `json:"machine,omitempty"`
	Kind    string        `json:"kind"`
	Text    string        `json:"text,omitempty"`
	Unit    string        `json:"unit,omitempty"`
	State   string        `json:"state,omitempty"`  // active | failed
	US      int64         `json:"us,omitempty"`     // the machine's CLOCK_BOOTTIME
	Bytes   int64         `json:"bytes,omitempty"`  // of boot files since power-on
	CPU     time.Duration `json:"cpu_ns,omitempty"` // of QEMU since power-on
}

// hub keeps all events and hands them to whoever reads along. It also writes
// them to a file, which outlives a failed story.
type hub struct {
	mu      sync.Mutex // guards what follows
	past    []Event
	changed chan struct{} // closed and replaced at each event
	ended   bool
	file    *os.File
}

func newHub(path string) (*hub, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &hub{changed: make(chan struct{}), file: f}, nil
}

// say tells everybody; a byte count replaces the one told last, so that the
// past stays short.
func (h *hub) say(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	h.past = append(h.past, e)
	if e.Kind != KindBytes {
		_ = json.NewEncoder(h.file).Encode(e) // a full disk must not stop the rack
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *hub) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return nil
	}
	h.ended = true
	close(h.changed)
	return h.file.Close()
}

// since returns the events after the first n, and what to wait for next.
func (h *hub) since(n int) ([]Event, <-chan struct{}, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.past[min(n, len(h.past)):]), h.changed, h.ended
}

// all yields every event from power-on, then those to come, until ctx or the
// rack ends.
func (h *hub) all(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for n := 0; ; {
			events, changed, ended := h.since(n)
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			n += len(events)
			if ended {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

// fromNode turns what a node says on its event port into rack events.
func fromNode(machine string, e vm.Event) Event {
	r := Event{Time: e.Host, Machine: machine, Kind: e.Event, Text: e.Text, Unit: e.Unit, State: e.State, US: e.US}
	if r.Text == "" {
		r.Text = e.Name
	}
	if e.Event == KindUnit && e.State == "active" && strings.HasSuffix(e.Unit, ".target") {
		r.Kind = KindTarget
	}
	return r
}

// fromSite compares two states of the provisioner's record of a machine.
func fromSite(old, now api.Machine) []Event {
	var events []Event
	add := func(kind, text string) {
		events = append(events, Event{Machine: now.Name, Kind: kind, Text: text, Bytes: now.Bytes})
	}
	if now.State == api.MachineBooting && (old.State != now.State || old.Since != now.Since && now.Bytes == 0) {
		add(KindDHCP, now.Address+" "+now.Firmware)
	}
	if now.Bytes > old.Bytes {
		add(KindBytes, "")
	}
	if now.State == api.MachinePending && (old.State != now.State || old.Reason != now.Reason) {
		add(KindPending, now.Reason)
	}
	if now.State == api.MachineAdmitted && old.State != now.State {
		add(KindAdmitted, now.Address)
	}
	return events
}
