package site

import (
	"crypto/ecdsa"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/api/token"
)

var plan = Plan{
	Name: "lab", Address: netip.MustParseAddr("10.0.0.1"), URL: "https://127.0.0.1:8443",
	Machines: []Machine{
		{Name: "m1", MAC: "52:54:00:00:00:01", Roles: []api.Role{api.RoleMaster}, Address: netip.MustParseAddr("10.0.0.11")},
		{Name: "a1", MAC: "52:54:00:00:00:02", Roles: []api.Role{api.RoleAgent}, Address: netip.MustParseAddr("10.0.0.12")},
	},
}

func newSite(t *testing.T) (string, map[string]string, *Site) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	tokens, err := Create(dir, plan)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, tokens, s
}

func TestCreate(t *testing.T) {
	dir, tokens, s := newSite(t)
	for _, name := range []string{fileCAKey, "operator/node.key", "provisioner/node.key", fileTokens, FileSite} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, st, err)
		}
	}
	pub := s.CA().PublicKey.(*ecdsa.PublicKey)
	if c, err := token.Verify(pub, s.Token, time.Now()); err != nil || c.UID != "operator" {
		t.Errorf("operator's token: %+v, %v", c, err)
	}
	if len(tokens) != 2 || !strings.HasPrefix(tokens["m1"], api.TokenPrefix) || !strings.HasSuffix(tokens["m1"], "@"+pki.Pin(s.CA())) {
		t.Errorf("tokens %v", tokens)
	}
	kept, err := os.ReadFile(filepath.Join(dir, fileTokens))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := cut(tokens["m1"])
	if err != nil || strings.Contains(string(kept), secret) {
		t.Errorf("the secret itself is on disk, or %v", err)
	}
	if _, err := Create(dir, plan); err == nil || !strings.Contains(err.Error(), "there is one in") {
		t.Errorf("created over a site: %v", err)
	}
}

func TestTokens(t *testing.T) {
	_, tokens, s := newSite(t)
	now := time.Now()
	id, secret, err := cut(tokens["a1"])
	if err != nil {
		t.Fatal(err)
	}
	good := id + "." + secret
	tok, err := s.Check(good, now)
	if err != nil || tok.Machine != "a1" {
		t.Fatalf("good token: %+v, %v", tok, err)
	}
	for name, c := range map[string]struct {
		token string
		at    time.Time
		want  string
	}{
		"wrong secret": {id + "." + strings.Repeat("0", len(secret)), now, "is wrong"},
		"unknown":      {"0123456789abcdef." + secret, now, "unknown to this site"},
		"no form":      {"x", now, "not of the form"},
		"late":         {good, now.Add(TokenLife + time.Second), "ended at"},
	} {
		_, err := s.Check(c.token, c.at)
		if err == nil || !strings.Contains(err.Error(), c.want) || api.KindOf(err) != api.KindForbidden {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret is in the error: %v", name, err)
		}
	}
	if err := s.Use(id, "10.0.0.12", now); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir) // after a crash
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Check(good, now); err == nil || !strings.Contains(err.Error(), "was used at") {
		t.Errorf("used token: %v", err)
	}
	fresh, err := again.NewToken("a1", tok.Roles, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Check(fresh, now); err != nil {
		t.Errorf("fresh token: %v", err)
	}
	if _, err := again.Check(good, now); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("token from before the fresh one: %v", err)
	}
}

func TestKeyMoves(t *testing.T) {
	dir, _, s := newSite(t)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := pki.NewRequest(key, "m1")
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.ParseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal(csr, "m1", plan.Machines[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.OpenCA(key, sealed, s.CA()); err != nil {
		t.Errorf("the holder cannot open it: %v", err)
	}
	if err := s.Accepted(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, fileCAKey)); !os.IsNotExist(err) {
		t.Errorf("key file: %v", err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a := again.Authority(); !a.Moved() || a.Holder != "m1" {
		t.Errorf("after a restart the authority is %+v", a)
	}
	if _, err := again.Sign(csr, "a1", []api.Role{api.RoleAgent}, plan.Address, time.Now()); err == nil {
		t.Error("signed without a key")
	}
}

func TestRenewLocally(t *testing.T) {
	_, _, s := newSite(t)
	before, err := s.RenewalDue()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RenewLocally(plan.Address, time.Now().Add(10*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if after, err := s.RenewalDue(); err != nil || after.Sub(before) < 9*time.Hour {
		t.Errorf("due %s, then %s, %v", before, after, err)
	}
}

func TestValidateAll(t *testing.T) {
	m := plan.Machines[0]
	for want, change := range map[string]func(*Machine){
		"name is not":          func(m *Machine) { m.Name = "M 1" },
		"MAC address \"52-":    func(m *Machine) { m.MAC = "52-54-00-00-00-09" },
		"not an IPv4":          func(m *Machine) { m.Address = netip.Addr{} },
		"no role":              func(m *Machine) { m.Roles = nil },
		"role \"operator\" is": func(m *Machine) { m.Roles = []api.Role{api.RoleOperator} },
	} {
		c := m
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := ValidateAll([]Machine{m, m}); err == nil || !strings.Contains(err.Error(), "already that of") {
		t.Errorf("twice the same machine: %v", err)
	}
}
