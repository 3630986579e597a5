package inventory

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Booting notes that a machine's firmware started over, by its MAC address.
func (i *Inventory) Booting(mac, firmware string) error {
	return i.changeMAC(mac, func(m *api.Machine) bool {
		i.move(m, api.MachineBooting)
		m.Firmware, m.Reason, m.Bytes = firmware, "", 0
		return true
	})
}

// Asked notes that a machine's operating system asked for an address: one that
// was never seen is booting then; for all others it says nothing new.
func (i *Inventory) Asked(mac string) error {
	return i.changeMAC(mac, func(m *api.Machine) bool {
		if m.State != api.MachineExpected {
			return false
		}
		i.move(m, api.MachineBooting)
		return true
	})
}

// Trouble notes in words why a machine is not getting further.
func (i *Inventory) Trouble(mac, reason string) error {
	return i.changeMAC(mac, func(m *api.Machine) bool {
		if m.Reason == reason {
			return false
		}
		m.Reason = reason
		return true
	})
}

// Refused notes that a machine asked for admission in vain, and why.
func (i *Inventory) Refused(name, reason string, facts api.MachineFacts) error {
	return i.change(func() *api.Machine { return i.machines[name] }, func(m *api.Machine) bool {
		i.move(m, api.MachinePending)
		m.Reason, m.Facts = reason, &facts
		return true
	})
}

// Admitted notes that a machine has become a node.
func (i *Inventory) Admitted(name string, facts api.MachineFacts) error {
	return i.change(func() *api.Machine { return i.machines[name] }, func(m *api.Machine) bool {
		i.move(m, api.MachineAdmitted)
		m.Reason, m.Facts = "", &facts
		return true
	})
}

// Served counts boot bytes sent to an address. It is not written to disk.
func (i *Inventory) Served(to netip.Addr, n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if m := i.byAddress(to); m != nil {
		m.Bytes += n
		i.tell(m.Name)
	}
}

// Named finds a machine by name.
func (i *Inventory) Named(name string) (api.Machine, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	m, ok := i.machines[name]
	if !ok {
		return api.Machine{}, false
	}
	return *m, true
}

// At finds a machine by the address it speaks from.
func (i *Inventory) At(a netip.Addr) (api.Machine, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if m := i.byAddress(a); m != nil {
		return *m, true
	}
	return api.Machine{}, false
}

func (i *Inventory) byAddress(a netip.Addr) *api.Machine {
	for _, m := range i.machines {
		if m.Address == a.String() {
			return m
		}
	}
	return nil
}

func (i *Inventory) changeMAC(mac string, do func(*api.Machine) bool) error {
	return i.change(func() *api.Machine { return i.byMAC(mac) }, do)
}

// change applies do to the machine that find finds; if do says that it changed,
// watchers are told and the list is written. An unknown machine is left alone.
func (i *Inventory) change(find func() *api.Machine, do func(*api.Machine) bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := find()
	if m == nil || !do(m) {
		return nil
	}
	i.tell(m.Name)
	if err := i.save(); err != nil {
		return fmt.Errorf("note change of machine %s: %w", m.Name, err)
	}
	return nil
}

func (i *Inventory) move(m *api.Machine, to api.MachineState) {
	if m.State != to {
		m.State, m.Since = to, time.Now().UTC()
	}
}

func toInt(a netip.Addr) uint32 {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func fromInt(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
