package bridge

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestLowestFree(t *testing.T) {
	at := func(s string) Lease { return Lease{IP: netip.MustParseAddr(s)} }
	var all []Lease
	for i := range 253 {
		a, ok := lowestFree(all)
		if !ok {
			t.Fatalf("none free after %d", i)
		}
		all = append(all, Lease{IP: a})
	}
	for _, tc := range []struct {
		name  string
		taken []Lease
		want  string
	}{
		{"first", nil, "172.31.254.2"},
		{"gap", []Lease{at("172.31.254.2"), at("172.31.254.4")}, "172.31.254.3"},
		{"full", all, "invalid IP"},
	} {
		if a, ok := lowestFree(tc.taken); a.String() != tc.want || ok != (tc.name != "full") {
			t.Errorf("%s: %v, %v; want %s", tc.name, a, ok, tc.want)
		}
	}
	if last := all[len(all)-1].IP.String(); last != "172.31.254.254" {
		t.Errorf("last %s: the broadcast address must stay free", last)
	}
}

func TestLeaseIsKeptAndTornOnesAreSkipped(t *testing.T) {
	n := &Network{Leases: t.TempDir()}
	a, err := n.lease("a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.Leases, "torn"), []byte(`{"id":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := n.lease("a", nil); err != nil || again.IP != a.IP {
		t.Errorf("%v became %v, %v", a.IP, again.IP, err)
	}
	if b, err := n.lease("b", nil); err != nil || b.IP == a.IP {
		t.Errorf("second address %v, %v", b.IP, err)
	}
	if !n.drop("a") || n.drop("a") {
		t.Error("a lease is dropped once")
	}
}
