package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/initd/network"
)

// site is a site of the test: its CA, a server, and what it answers.
type site struct {
	t    *testing.T
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	srv  *httptest.Server
	role api.Role // in the server's certificate

	mu       sync.Mutex
	asked    []api.EnrolRequest
	accepted []string // who said so
	answer   func(n int, q api.EnrolRequest, w http.ResponseWriter)
}

func newSite(t *testing.T, role api.Role) *site {
	t.Helper()
	s := &site{t: t, role: role}
	var err error
	if s.ca, s.key, err = pki.NewCA("lab", time.Now()); err != nil {
		t.Fatal(err)
	}
	s.answer = func(_ int, q api.EnrolRequest, w http.ResponseWriter) { s.admit(w, q, api.RoleAgent) }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/enrol", s.enrol)
	mux.HandleFunc("POST /v1/ca/accepted", identity.Require(s.accept, api.RoleMaster))
	s.srv = httptest.NewUnstartedServer(mux)
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	s.srv.TLS = &tls.Config{Certificates: []tls.Certificate{s.pair("provisioner", role)}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	s.srv.StartTLS()
	t.Cleanup(s.srv.Close)
	return s
}

// pair is a certificate with its key and the CA behind it.
func (s *site) pair(name string, roles ...api.Role) tls.Certificate {
	s.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := pki.NewRequest(key, name)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf, err := pki.ParseCert(s.sign(string(req), name, roles...))
	if err != nil {
		s.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, s.ca.Raw}, PrivateKey: key, Leaf: leaf}
}

func (s *site) sign(csrPEM, name string, roles ...api.Role) []byte {
	csr, err := pki.ParseRequest([]byte(csrPEM))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	b, err := pki.Sign(s.ca, s.key, csr, name, "lab", roles, []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now())
	if err != nil {
		s.t.Error(err)
	}
	return b
}

func (s *site) enrol(w http.ResponseWriter, r *http.Request) {
	var q api.EnrolRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	s.asked = append(s.asked, q)
	n := len(s.asked)
	s.mu.Unlock()
	s.answer(n, q, w)
}

func (s *site) accept(w http.ResponseWriter, r *http.Request) {
	p, _ := identity.PeerOf(r)
	s.mu.Lock()
	s.accepted = append(s.accepted, p.Name)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *site) reply(q api.EnrolRequest, roles ...api.Role) api.EnrolReply {
	return api.EnrolReply{
		Node: api.NodeIdentity{Name: "n1", Site: "lab", Roles: roles, Address: "127.0.0.1", Masters: []string{"127.0.0.1"}},
		CA:   string(pki.EncodeCert(s.ca)), Certificate: string(s.sign(q.CSR, "n1", roles...)),
	}
}

func (s *site) admit(w http.ResponseWriter, q api.EnrolRequest, roles ...api.Role) {
	s.send(w, s.reply(q, roles...))
}

func (s *site) send(w http.ResponseWriter, r api.EnrolReply) {
	if err := json.NewEncoder(w).Encode(r); err != nil {
		s.t.Error(err)
	}
}

// token is the OEM string of a machine that this site expects.
func (s *site) token() string { return api.TokenPrefix + "id.secret@" + pki.Pin(s.ca) }

// node is a machine's file system and its init, as far as enrol sees them.
type node struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	started []string
}

func newNode(t *testing.T, siteURL string, oem ...string) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir()}
	n.write(network.FileState, fmt.Sprintf(`{"interface":"eth0","mac":"52:54:00:00:00:01","address":"127.0.0.1","prefix":8,"site":%q}`, siteURL))
	n.write("release.json", `{"version":"0.1"}`)
	table := []byte{11, 5, 0, 1, byte(len(oem))}
	table = append(table, strings.Join(oem, "\x00")+"\x00\x00"...)
	if len(oem) == 0 {
		table = append(table, 0)
	}
	n.write("dmi", string(table))
	l, err := net.Listen("unix", filepath.Join(n.dir, "initd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/units/{id}/start", func(_ http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.started = append(n.started, r.PathValue("id"))
		n.mu.Unlock()
	})
	srv := &http.Server{Handler: mux}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return n
}

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) run(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return Run(ctx, []string{
		"--run", n.dir, "--identity", n.path("identity"), "--ca", n.path("ca"), "--socket", n.path("initd.sock"),
		"--dmi", n.path("dmi"), "--release", n.path("release.json"), "--set-hostname=false",
	})
}

func (n *node) enrolled() bool {
	_, err := os.Stat(n.path("identity/" + identity.FileCert))
	return err == nil
}

func TestAdmitted(t *testing.T) {
	s := newSite(t, api.RoleProvisioner)
	n := newNode(t, s.srv.URL, "other=1", s.token())
	s.answer = func(_ int, q api.EnrolRequest, w http.ResponseWriter) { s.admit(w, q, api.RoleMaster, api.RoleAgent) }
	if err := n.run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if q := s.asked[0]; q.Token != "id.secret" || q.Facts.Address != "127.0.0.1" || q.Facts.Version != "0.1" || len(q.Facts.MACs) == 0 {
		t.Errorf("asked with %+v", q)
	}
	if want := []string{"master.target", "agent.target"}; !slices.Equal(n.started, want) {
		t.Errorf("started %v, want %v", n.started, want)
	}
	for name, mode := range map[string]fs.FileMode{
		"identity": fs.ModeDir | 0o750, "identity/ca.crt": 0o640, "identity/node.crt": 0o640, "identity/node.key": 0o640, "identity/node.json": 0o640,
	} {
		if st, err := os.Stat(n.path(name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	src := &identity.Source{Dir: n.path("identity")}
	if _, err := src.Certificate(); err != nil {
		t.Error(err)
	}
	if id, err := src.Node(); err != nil || id.Name != "n1" {
		t.Errorf("node.json %+v, %v", id, err)
	}
	if len(s.accepted) != 0 {
		t.Errorf("accepted said without a CA key: %v", s.accepted)
	}
	// A second run of the same boot keeps the identity and starts the roles again.
	if err := n.run(20 * time.Second); err != nil || len(s.asked) != 1 || len(n.started) != 4 {
		t.Errorf("second run: %v, asked %d times, started %v", err, len(s.asked), n.started)
	}
}

func TestFirstMasterGetsTheCA(t *testing.T) {
	s := newSite(t, api.RoleProvisioner)
	n := newNode(t, s.srv.URL, s.token())
	s.answer = func(_ int, q api.EnrolRequest, w http.ResponseWriter) {
		r := s.reply(q, api.RoleMaster)
		csr, err := pki.ParseRequest([]byte(q.CSR))
		if err != nil {
			t.Error(err)
			return
		}
		pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			t.Error("no ECDSA key")
			return
		}
		if r.SealedCAKey, err = pki.SealCA(pub, s.key); err != nil {
			t.Error(err)
		}
		s.send(w, r)
	}
	if err := n.run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(n.path("ca/ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := pki.ParseKey(b); err != nil || !k.Equal(s.key) {
		t.Errorf("another key arrived: %v", err)
	}
	if st, err := os.Stat(n.path("ca/ca.key")); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if !slices.Equal(s.accepted, []string{"n1"}) {
		t.Errorf("accepted said by %v", s.accepted)
	}
}

func TestBusyThenAdmitted(t *testing.T) {
	s := newSite(t, api.RoleProvisioner)
	n := newNode(t, s.srv.URL, s.token())
	s.answer = func(i int, q api.EnrolRequest, w http.ResponseWriter) {
		if i < 3 {
			w.Header().Set("Retry-After", "1")
			api.WriteError(w, api.Errorf(api.KindUnavailable, "the master's ca is not up"))
			return
		}
		s.admit(w, q, api.RoleAgent)
	}
	if err := n.run(20 * time.Second); err != nil || len(s.asked) != 3 {
		t.Errorf("asked %d times: %v", len(s.asked), err)
	}
	if s.asked[0].CSR != s.asked[2].CSR {
		t.Error("another key on the second try: the site may have bound the token to the first")
	}
}

// TestNotAdmitted holds answers that must leave the machine without identity.
func TestNotAdmitted(t *testing.T) {
	other, _, err := pki.NewCA("elsewhere", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	good := func(s *site) string { return s.token() }
	for name, c := range map[string]struct {
		role   api.Role
		oem    func(*site) string
		answer func(s *site) func(int, api.EnrolRequest, http.ResponseWriter)
		asked  bool // the site heard of the machine at all
		token  bool // and of its token
	}{
		"wrong pin":              {role: api.RoleProvisioner, oem: func(*site) string { return api.TokenPrefix + "id.secret@" + pki.Pin(other) }},
		"server is only a node":  {role: api.RoleMaster, oem: good},
		"no token, yet admitted": {role: api.RoleProvisioner, oem: func(*site) string { return "x=y" }, asked: true},
		"broken token":           {role: api.RoleProvisioner, oem: func(*site) string { return api.TokenPrefix + "id.secret" }, asked: true},
		"pending": {role: api.RoleProvisioner, oem: good, asked: true, token: true, answer: func(*site) func(int, api.EnrolRequest, http.ResponseWriter) {
			return func(_ int, _ api.EnrolRequest, w http.ResponseWriter) {
				w.WriteHeader(http.StatusAccepted)
				fmt.Fprint(w, `{"message":"n1 waits for an operator"}`)
			}
		}},
		"used token": {role: api.RoleProvisioner, oem: good, asked: true, token: true, answer: func(*site) func(int, api.EnrolRequest, http.ResponseWriter) {
			return func(_ int, _ api.EnrolRequest, w http.ResponseWriter) {
				api.WriteError(w, api.Errorf(api.KindForbidden, "token id is used"))
			}
		}},
		"certificate of another key": {role: api.RoleProvisioner, oem: good, asked: true, token: true, answer: func(s *site) func(int, api.EnrolRequest, http.ResponseWriter) {
			return func(_ int, q api.EnrolRequest, w http.ResponseWriter) {
				r := s.reply(q, api.RoleAgent)
				r.Certificate = string(pki.EncodeCert(s.pair("n1", api.RoleAgent).Leaf))
				s.send(w, r)
			}
		}},
		"more roles than certified": {role: api.RoleProvisioner, oem: good, asked: true, token: true, answer: func(s *site) func(int, api.EnrolRequest, http.ResponseWriter) {
			return func(_ int, q api.EnrolRequest, w http.ResponseWriter) {
				r := s.reply(q, api.RoleAgent)
				r.Node.Roles = []api.Role{api.RoleMaster}
				s.send(w, r)
			}
		}},
		"another CA": {role: api.RoleProvisioner, oem: good, asked: true, token: true, answer: func(s *site) func(int, api.EnrolRequest, http.ResponseWriter) {
			return func(_ int, q api.EnrolRequest, w http.ResponseWriter) {
				r := s.reply(q, api.RoleAgent)
				r.CA = string(pki.EncodeCert(other))
				s.send(w, r)
			}
		}},
		"CA key sealed to nobody": {role: api.RoleProvisioner, oem: good, asked: true, token: true, answer: func(s *site) func(int, api.EnrolRequest, http.ResponseWriter) {
			return func(_ int, q api.EnrolRequest, w http.ResponseWriter) {
				r := s.reply(q, api.RoleMaster)
				r.SealedCAKey = []byte("nonsense")
				s.send(w, r)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.role)
			if c.answer != nil {
				s.answer = c.answer(s)
			}
			n := newNode(t, s.srv.URL, c.oem(s))
			if err := n.run(700 * time.Millisecond); err == nil {
				t.Error("no error")
			}
			if n.enrolled() || len(n.started) > 0 {
				t.Error("enrolled all the same")
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if (len(s.asked) > 0) != c.asked {
				t.Errorf("asked %d times", len(s.asked))
			}
			if c.asked && (s.asked[0].Token != "") != c.token {
				t.Errorf("token sent: %q", s.asked[0].Token)
			}
		})
	}
}

func TestPause(t *testing.T) {
	r := func(status int, after time.Duration) *refusal { return &refusal{status: status, after: after} }
	for _, c := range []struct {
		r        *refusal
		since    time.Duration
		failures int
		want     time.Duration
	}{
		{nil, 0, 0, 500 * time.Millisecond},
		{nil, 0, 2, 2 * time.Second},
		{nil, 0, 1000, 5 * time.Second},
		{r(202, 0), 0, 0, 5 * time.Second},
		{r(403, 0), 0, 0, 30 * time.Second},
		{r(503, 2*time.Second), time.Second, 0, 500 * time.Millisecond},
		{r(503, 2*time.Second), time.Minute, 0, 2 * time.Second},
		{r(503, time.Hour), time.Minute, 0, 30 * time.Second},
		{r(500, 0), 0, 0, 5 * time.Second},
	} {
		if got := pause(c.r, c.since, c.failures); got != c.want {
			t.Errorf("pause(%+v, %v, %d) = %v, want %v", c.r, c.since, c.failures, got, c.want)
		}
	}
}

func TestClockAt1970IsNamed(t *testing.T) {
	s := newSite(t, api.RoleProvisioner)
	chain := []*x509.Certificate{s.pair("provisioner", api.RoleProvisioner).Leaf, s.ca}
	err := checkServer(chain, pki.Pin(s.ca), time.Unix(100, 0))
	for _, want := range []string{"not yet valid", "1970-01-01T00:01:40Z", "check the time server"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if err := checkServer(chain, pki.Pin(s.ca), time.Now()); err != nil {
		t.Error(err)
	}
}

// TestKeyOutlivesARun: the site may have used the token up for a key whose
// answer was lost.
func TestKeyOutlivesARun(t *testing.T) {
	s := newSite(t, api.RoleProvisioner)
	n := newNode(t, s.srv.URL, s.token())
	admit := s.answer
	s.answer = func(_ int, _ api.EnrolRequest, w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }
	if err := n.run(300 * time.Millisecond); err == nil {
		t.Fatal("admitted")
	}
	s.answer = admit
	if err := n.run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	var keys []any
	for _, q := range []api.EnrolRequest{s.asked[0], s.asked[len(s.asked)-1]} {
		csr, err := pki.ParseRequest([]byte(q.CSR))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, csr.PublicKey)
	}
	if k, ok := keys[0].(*ecdsa.PublicKey); !ok || !k.Equal(keys[1]) {
		t.Error("another key in the second run")
	}
}

func TestParseToken(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for text, ok := range map[string]bool{
		"id.secret@sha256:" + hex: true, "id.secret": false, "id@sha256:" + hex: false, ".s@sha256:" + hex: false,
		"id.secret@" + hex: false, "id.secret@sha256:" + hex[1:]: false, "id.secret@sha256:" + hex[:63] + "G": false, "": false,
	} {
		if _, err := parseToken(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
