package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/ingot-os/ingot/api"
)

// lease finds the task's lease or writes a new one with the lowest free address.
func (n *Network) lease(id string, ports []api.AllocPort) (Lease, error) {
	all, err := n.leases()
	if err != nil {
		return Lease{}, err
	}
	if i := slices.IndexFunc(all, func(l Lease) bool { return l.ID == id }); i >= 0 {
		return all[i], nil
	}
	ip, ok := lowestFree(all)
	if !ok {
		return Lease{}, fmt.Errorf("give %s an address: all of %s are taken", id, Subnet)
	}
	l := Lease{ID: id, IP: ip, Ports: ports}
	b, err := json.Marshal(l)
	if err != nil {
		return Lease{}, fmt.Errorf("write lease of %s: %w", id, err)
	}
	// Not by rename: a torn lease is unreadable, skipped and swept, and on a
	// tmpfs nothing survives the crash that would tear it.
	if err := os.WriteFile(filepath.Join(n.Leases, id), b, 0o600); err != nil {
		return Lease{}, fmt.Errorf("write lease of %s: %w", id, err)
	}
	return l, nil
}

// leases reads all leases in order of address.
func (n *Network) leases() ([]Lease, error) {
	ids, err := names(n.Leases)
	if err != nil {
		return nil, err
	}
	var all []Lease
	for _, id := range ids {
		b, err := os.ReadFile(filepath.Join(n.Leases, id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read lease of %s: %w", id, err)
		}
		var l Lease
		if json.Unmarshal(b, &l) != nil || !Subnet.Contains(l.IP) || l.ID != id {
			continue // torn or foreign: Sweep takes it away
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Lease) int { return a.IP.Compare(b.IP) })
	return all, nil
}

// drop removes a lease and tells whether there was one.
func (n *Network) drop(id string) bool {
	return os.Remove(filepath.Join(n.Leases, id)) == nil
}

// lowestFree is the lowest address of the subnet that no lease holds; network,
// node and broadcast address stay out.
func lowestFree(taken []Lease) (netip.Addr, bool) {
	used := map[netip.Addr]bool{gateway(): true}
	for _, l := range taken {
		used[l.IP] = true
	}
	for a := gateway().Next(); Subnet.Contains(a.Next()); a = a.Next() {
		if !used[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}
