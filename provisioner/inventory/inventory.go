// Package inventory is the site's list of machines: who they are, where they
// stand, which address is theirs, and who hears when that changes.
//
// Machines come from the site's configuration; one that nobody announced is
// listed when it first asks for an address, under a name made of its MAC
// address and with an address out of the pool. Addresses are a function of
// configuration and list, so a lost lease file loses nothing.
//
// States (api.MachineState) and what moves a machine:
//
//	             firmware asks   admitted    refused
//	expected     booting         admitted    pending
//	booting      booting         admitted    pending
//	pending      booting         admitted    pending
//	admitted     booting         admitted    pending
//
// The list is one JSON file, replaced whole at each change of state; byte
// counts are not kept. Safe for many goroutines; starts none.
package inventory

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/provisioner/atomicfile"
	"github.com/ingot-os/ingot/provisioner/site"
)

// Pool is the range of addresses for machines that nobody announced.
type Pool struct{ First, Last netip.Addr }

// Inventory is the list.
type Inventory struct {
	path string
	pool Pool

	mu       sync.Mutex // guards what follows
	machines map[string]*api.Machine
	known    map[string]bool // by name: announced by the configuration
	watchers map[*Watch]bool
}

// Open reads the list at path, if there is one, and brings it in line with the
// machines that the configuration announces.
func Open(path string, announced []site.Machine, pool Pool) (*Inventory, error) {
	i := &Inventory{
		path: path, pool: pool,
		machines: map[string]*api.Machine{}, known: map[string]bool{}, watchers: map[*Watch]bool{},
	}
	old, err := read(path)
	if err != nil {
		return nil, err
	}
	for _, m := range announced {
		i.machines[m.Name] = &api.Machine{
			Name: m.Name, State: api.MachineExpected, Roles: m.Roles, MAC: m.MAC,
			Address: m.Address.String(), Since: time.Now().UTC(),
		}
		i.known[m.Name] = true
	}
	for _, m := range old {
		i.restore(m)
	}
	return i, nil
}

func read(path string) ([]api.Machine, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read list of machines: %w", err)
	}
	var all []api.Machine
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("read list of machines %s: %w; remove the file to start a new list", path, err)
	}
	return all, nil
}

// restore takes over what an earlier run knew, where it still fits.
func (i *Inventory) restore(old api.Machine) {
	if m, ok := i.machines[old.Name]; ok {
		if m.MAC == old.MAC {
			m.State, m.Since, m.Reason, m.Facts, m.Firmware = old.State, old.Since, old.Reason, old.Facts, old.Firmware
		}
		return
	}
	if old.Name == strangerName(old.MAC) && i.byMAC(old.MAC) == nil {
		i.machines[old.Name] = &old
	}
}

// Lookup finds a machine by MAC address. Add lists one that is not there, with
// an address out of the pool; without it, or with an empty pool, the second
// result is false.
func (i *Inventory) Lookup(mac string, add bool) (m api.Machine, known, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	found := i.byMAC(mac)
	if found == nil && add {
		found = i.addStranger(mac)
	}
	if found == nil {
		return api.Machine{}, false, false
	}
	return *found, i.known[found.Name], true
}

func (i *Inventory) byMAC(mac string) *api.Machine {
	for _, m := range i.machines {
		if m.MAC == mac {
			return m
		}
	}
	return nil
}

func (i *Inventory) addStranger(mac string) *api.Machine {
	a, ok := i.free(mac)
	if !ok {
		return nil
	}
	m := &api.Machine{
		Name: strangerName(mac), State: api.MachineExpected, MAC: mac,
		Address: a.String(), Since: time.Now().UTC(),
	}
	i.machines[m.Name] = m
	return m
}

func strangerName(mac string) string { return "unknown-" + strings.ReplaceAll(mac, ":", "") }

// free chooses a pool address by the MAC address, or the next free one after.
func (i *Inventory) free(mac string) (netip.Addr, bool) {
	first, last := toInt(i.pool.First), toInt(i.pool.Last)
	if last < first || first == 0 {
		return netip.Addr{}, false
	}
	used := map[string]bool{}
	for _, m := range i.machines {
		used[m.Address] = true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(mac)) // never fails
	n := last - first + 1
	for k := range n {
		a := fromInt(first + (h.Sum32()%n+k)%n)
		if !used[a.String()] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Machines lists all, by name.
func (i *Inventory) Machines() []api.Machine {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.list()
}

func (i *Inventory) list() []api.Machine {
	all := make([]api.Machine, 0, len(i.machines))
	for _, m := range i.machines {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b api.Machine) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Masters lists the addresses of announced machines with the master role.
func (i *Inventory) Masters() []string {
	var out []string
	for _, m := range i.Machines() {
		if slices.Contains(m.Roles, api.RoleMaster) {
			out = append(out, m.Address)
		}
	}
	return out
}

// save writes the list; the caller holds mu.
func (i *Inventory) save() error {
	if i.path == "" {
		return nil
	}
	return atomicfile.WriteJSON(i.path, i.list(), 0o600)
}
