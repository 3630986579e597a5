package inventory

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/provisioner/site"
)

const mac = "52:54:00:00:00:01"

var announced = []site.Machine{{Name: "m1", MAC: mac, Roles: []api.Role{api.RoleMaster}, Address: netip.MustParseAddr("10.0.0.11")}}

func open(t *testing.T, path string) *Inventory {
	t.Helper()
	i, err := Open(path, announced, Pool{netip.MustParseAddr("10.0.0.200"), netip.MustParseAddr("10.0.0.202")})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestStates walks the table of the package doc: every state, every event.
func TestStates(t *testing.T) {
	type state = api.MachineState
	events := map[string]func(*Inventory) error{
		"firmware": func(i *Inventory) error { return i.Booting(mac, "bios-ipxe") },
		"admitted": func(i *Inventory) error { return i.Admitted("m1", api.MachineFacts{}) },
		"refused":  func(i *Inventory) error { return i.Refused("m1", "why", api.MachineFacts{}) },
		"system":   func(i *Inventory) error { return i.Asked(mac) },
	}
	to := map[string]map[state]state{
		"firmware": {api.MachineExpected: api.MachineBooting, api.MachineBooting: api.MachineBooting, api.MachinePending: api.MachineBooting, api.MachineAdmitted: api.MachineBooting},
		"admitted": {api.MachineExpected: api.MachineAdmitted, api.MachineBooting: api.MachineAdmitted, api.MachinePending: api.MachineAdmitted, api.MachineAdmitted: api.MachineAdmitted},
		"refused":  {api.MachineExpected: api.MachinePending, api.MachineBooting: api.MachinePending, api.MachinePending: api.MachinePending, api.MachineAdmitted: api.MachinePending},
		"system":   {api.MachineExpected: api.MachineBooting, api.MachineBooting: api.MachineBooting, api.MachinePending: api.MachinePending, api.MachineAdmitted: api.MachineAdmitted},
	}
	for name, happen := range events {
		for from, want := range to[name] {
			i := open(t, "")
			i.machines["m1"].State = from
			if err := happen(i); err != nil {
				t.Fatal(err)
			}
			if got := i.machines["m1"].State; got != want {
				t.Errorf("%s, %s: %s, want %s", from, name, got, want)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	i := open(t, "")
	if _, _, ok := i.Lookup("52:54:00:00:01:00", false); ok {
		t.Error("a stranger was listed by looking")
	}
	seen := map[string]bool{}
	for _, s := range []string{"52:54:00:00:01:00", "52:54:00:00:01:01", "52:54:00:00:01:02"} {
		m, known, ok := i.Lookup(s, true)
		again, _, _ := i.Lookup(s, true)
		if !ok || known || seen[m.Address] || again.Address != m.Address {
			t.Errorf("%s: %+v, known %v, listed %v, again %s", s, m, known, ok, again.Address)
		}
		seen[m.Address] = true
	}
	if m, _, ok := i.Lookup("52:54:00:00:01:03", true); ok {
		t.Errorf("a fourth of three addresses: %s", m.Address)
	}
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machines.json")
	i := open(t, path)
	s, _, _ := i.Lookup("52:54:00:00:01:00", true)
	if err := i.Refused("m1", "no token", api.MachineFacts{Serial: "x"}); err != nil {
		t.Fatal(err)
	}
	i = open(t, path)
	m, _ := i.Named("m1")
	if m.State != api.MachinePending || m.Reason != "no token" || m.Facts.Serial != "x" {
		t.Errorf("after a restart m1 is %+v", m)
	}
	if again, known, ok := i.Lookup("52:54:00:00:01:00", false); !ok || known || again.Address != s.Address {
		t.Errorf("after a restart the stranger is %+v, known %v, listed %v", again, known, ok)
	}
}

func TestWatch(t *testing.T) {
	i := open(t, "")
	w := i.Watch()
	defer w.Close()
	if got, err := w.Next(t.Context()); err != nil || len(got) != 1 {
		t.Fatalf("first: %v, %v", got, err)
	}
	for range 3 { // a slow listener gets the last state once
		i.Served(netip.MustParseAddr("10.0.0.11"), 1<<20)
	}
	got, err := w.Next(t.Context())
	if err != nil || len(got) != 1 || got[0].Bytes != 3<<20 {
		t.Errorf("then: %+v, %v", got, err)
	}
}
