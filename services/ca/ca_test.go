package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
)

// site is a CA and what it takes to call it.
type site struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	url  string
}

func request(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	b, err := pki.NewRequest(key, "ignored")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// member makes an identity folder.
func (s *site) member(name string, roles ...api.Role) *identity.Source {
	s.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	csr, err := pki.ParseRequest([]byte(request(s.t, key)))
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := pki.Sign(s.cert, s.key, csr, name, "lab", roles, []net.IP{net.IPv4(10, 77, 0, 12)}, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	k, err := pki.EncodeKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	dir := s.t.TempDir()
	for name, b := range map[string][]byte{identity.FileCA: pki.EncodeCert(s.cert), identity.FileCert: cert, identity.FileKey: k} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return &identity.Source{Dir: dir}
}

// running is `ingotd ca` on a loopback port.
func running(t *testing.T) *site {
	t.Helper()
	s := &site{t: t}
	var err error
	if s.cert, s.key, err = pki.NewCA("lab", time.Now()); err != nil {
		t.Fatal(err)
	}
	master := s.member("m1", api.RoleMaster)
	b, err := pki.EncodeKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "ca.key")
	if err := os.WriteFile(keyFile, b, 0o600); err != nil {
		t.Fatal(err)
	}
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	probe.Close()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	t.Setenv("NOTIFY_SOCKET", notify.LocalAddr().String())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, []string{"--identity", master.Dir, "--key", keyFile, "--listen", address}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := notify.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := notify.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + address
	return s
}

func (s *site) call(who *identity.Source, path string, in any) (int, string) {
	s.t.Helper()
	c, err := who.HTTPClient()
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	b, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := c.Post(s.url+path, "application/json", bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

func certOf(t *testing.T, reply string) (*x509.Certificate, string) {
	t.Helper()
	var r api.SignReply
	if err := json.Unmarshal([]byte(reply), &r); err != nil {
		t.Fatalf("%v in %s", err, reply)
	}
	c, err := pki.ParseCert([]byte(r.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	return c, r.Certificate
}

func TestSignAndOpenssl(t *testing.T) {
	s := running(t)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	status, out := s.call(s.member("provisioner", api.RoleProvisioner), "/v1/sign",
		api.SignRequest{CSR: request(t, key), Name: "a1", Roles: []api.Role{api.RoleAgent}, Addresses: []string{"10.77.0.12"}})
	if status != 200 {
		t.Fatalf("%d: %s", status, out)
	}
	c, text := certOf(t, out)
	if p := identity.FromCertificate(c); p.Name != "a1" || !slices.Equal(p.Roles, []api.Role{api.RoleAgent}) || c.Subject.Organization[0] != "lab" {
		t.Errorf("subject %v", c.Subject)
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl: Debian package openssl")
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"ca": pki.EncodeCert(s.cert), "leaf": []byte(text)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "10.77.0.12", "-CAfile", "ca", "leaf")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRenewKeepsWhoOneIs(t *testing.T) {
	s := running(t)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	status, out := s.call(s.member("a1", api.RoleAgent), "/v1/renew", api.RenewRequest{CSR: request(t, key)})
	if status != 200 {
		t.Fatalf("%d: %s", status, out)
	}
	c, _ := certOf(t, out)
	if p := identity.FromCertificate(c); p.Name != "a1" || !slices.Equal(p.Roles, []api.Role{api.RoleAgent}) {
		t.Errorf("subject %v", c.Subject)
	}
	if err := c.VerifyHostname("10.77.0.12"); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	s := running(t)
	prov := s.member("provisioner", api.RoleProvisioner)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	good := api.SignRequest{CSR: request(t, key), Name: "a1", Roles: []api.Role{api.RoleAgent}}
	with := func(f func(*api.SignRequest)) api.SignRequest { r := good; f(&r); return r }
	for name, c := range map[string]struct {
		who    *identity.Source
		path   string
		in     any
		status int
	}{
		"agent signs":          {s.member("a1", api.RoleAgent), "/v1/sign", good, 403},
		"master signs":         {s.member("m1", api.RoleMaster), "/v1/sign", good, 403},
		"operator renews":      {s.member("op", api.RoleOperator), "/v1/renew", api.RenewRequest{CSR: good.CSR}, 403},
		"operator's role":      {prov, "/v1/sign", with(func(r *api.SignRequest) { r.Roles = []api.Role{api.RoleOperator} }), 403},
		"no role":              {prov, "/v1/sign", with(func(r *api.SignRequest) { r.Roles = nil }), 422},
		"name of two labels":   {prov, "/v1/sign", with(func(r *api.SignRequest) { r.Name = "a.b" }), 422},
		"address that is none": {prov, "/v1/sign", with(func(r *api.SignRequest) { r.Addresses = []string{"x"} }), 422},
		"no request":           {prov, "/v1/sign", with(func(r *api.SignRequest) { r.CSR = "x" }), 422},
		"unknown field":        {prov, "/v1/sign", map[string]string{"x": "y"}, 400},
		"unknown path":         {prov, "/v1/x", nil, 404},
	} {
		if status, out := s.call(c.who, c.path, c.in); status != c.status || !strings.Contains(out, `"message"`) {
			t.Errorf("%s: %d %s, want %d", name, status, out, c.status)
		}
	}
}

func TestNoCertificateOfThisSite(t *testing.T) {
	s, other := running(t), &site{t: t}
	var err error
	if other.cert, other.key, err = pki.NewCA("elsewhere", time.Now()); err != nil {
		t.Fatal(err)
	}
	foreign, err := other.member("m1", api.RoleProvisioner).Certificate()
	if err != nil {
		t.Fatal(err)
	}
	for name, certs := range map[string][]tls.Certificate{"none": nil, "of another site": {*foreign}} {
		pool := x509.NewCertPool()
		pool.AddCert(s.cert)
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}
		resp, err := (&http.Client{Transport: tr}).Post(s.url+"/v1/sign", "", nil)
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered %d", name, resp.StatusCode)
		}
		tr.CloseIdleConnections()
	}
}

func TestClockBeforeTheCA(t *testing.T) {
	s := &site{t: t}
	var err error
	if s.cert, s.key, err = pki.NewCA("lab", time.Now()); err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: s.cert, key: s.key, now: func() time.Time { return time.Unix(0, 0) }, log: log.New(io.Discard, "", 0)}
	peer, err := s.member("a1", api.RoleAgent).Certificate()
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"csr":%q}`, request(t, s.key))
	r, err := http.NewRequest(http.MethodPost, "/v1/renew", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{peer.Leaf}}}
	w := httptest.NewRecorder()
	a.handler().ServeHTTP(w, r)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "set the clock") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEveryRouteNamesItsRoles(t *testing.T) {
	for _, r := range (&authority{}).routes() {
		if len(r.roles) == 0 {
			t.Errorf("%s names no roles", r.pattern)
		}
	}
}

func TestOpenRefusesAnotherKey(t *testing.T) {
	s := &site{t: t}
	var err error
	if s.cert, s.key, err = pki.NewCA("lab", time.Now()); err != nil {
		t.Fatal(err)
	}
	m := s.member("m1", api.RoleMaster)
	if _, err := open(m.Dir, filepath.Join(m.Dir, identity.FileKey)); err == nil || !strings.Contains(err.Error(), "is not that of") {
		t.Errorf("error %v", err)
	}
	if _, err := open(m.Dir, filepath.Join(m.Dir, "missing")); err == nil {
		t.Error("opened without a key")
	}
}
