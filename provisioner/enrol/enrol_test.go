package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/api/serve"
	"github.com/ingot-os/ingot/provisioner/inventory"
	"github.com/ingot-os/ingot/provisioner/site"
)

// Machines speak from loopback addresses of their own.
var (
	home     = netip.MustParseAddr("127.0.0.1")
	machines = []site.Machine{
		{Name: "m1", MAC: "52:54:00:00:00:01", Roles: []api.Role{api.RoleMaster}, Address: netip.MustParseAddr("127.0.0.11")},
		{Name: "m2", MAC: "52:54:00:00:00:02", Roles: []api.Role{api.RoleMaster}, Address: netip.MustParseAddr("127.0.0.12")},
		{Name: "a1", MAC: "52:54:00:00:00:03", Roles: []api.Role{api.RoleAgent}, Address: netip.MustParseAddr("127.0.0.21")},
	}
)

type lab struct {
	t      *testing.T
	site   *site.Site
	dir    string
	inv    *inventory.Inventory
	tokens map[string]string
	server *Server
	url    string
	log    bytes.Buffer
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: filepath.Join(t.TempDir(), "site")}
	var err error
	if l.tokens, err = site.Create(l.dir, site.Plan{Name: "lab", Address: home, Machines: machines}); err != nil {
		t.Fatal(err)
	}
	if l.site, err = site.Open(l.dir); err != nil {
		t.Fatal(err)
	}
	if l.inv, err = inventory.Open(l.site.Inventory(), machines, inventory.Pool{}); err != nil {
		t.Fatal(err)
	}
	client, err := l.site.Identity().HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	l.server = &Server{
		Site: l.site, Machines: l.inv, Address: home, Client: client,
		Log: slog.New(slog.NewTextHandler(&l.log, nil)),
	}
	cfg, err := TLS(l.site.Identity(), l.site.CA())
	if err != nil {
		t.Fatal(err)
	}
	l.url = l.serve("127.0.0.1:0", cfg, l.server.Handler())
	return l
}

func (l *lab) serve(at string, cfg *tls.Config, h http.Handler) string {
	l.t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	done := make(chan error, 1)
	go func() { done <- serve.On(ctx, ln, false, serve.Options{TLS: cfg}, h) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	return "https://" + ln.Addr().String()
}

// machine is one that makes its key and asks.
type machine struct {
	l    *lab
	from netip.Addr
	key  *ecdsa.PrivateKey
	csr  string
}

func (l *lab) machine(from string) *machine {
	l.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		l.t.Fatal(err)
	}
	b, err := pki.NewRequest(key, "whatever it says")
	if err != nil {
		l.t.Fatal(err)
	}
	return &machine{l: l, from: netip.MustParseAddr(from), key: key, csr: string(b)}
}

func (m *machine) client(cert *tls.Certificate) *http.Client {
	pool, err := m.l.site.Identity().Pool()
	if err != nil {
		m.l.t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: pool}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: m.from.AsSlice()}}
	tr := &http.Transport{TLSClientConfig: cfg, DialContext: d.DialContext}
	m.l.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func (m *machine) post(body string) (*http.Response, string) {
	m.l.t.Helper()
	resp, err := m.client(nil).Post(m.l.url+"/v1/enrol", "application/json", strings.NewReader(body))
	if err != nil {
		m.l.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		m.l.t.Fatal(err)
	}
	return resp, string(b)
}

func (m *machine) enrol(token string) (*http.Response, string) {
	m.l.t.Helper()
	token, _, _ = strings.Cut(strings.TrimPrefix(token, api.TokenPrefix), "@")
	b, err := json.Marshal(api.EnrolRequest{Token: token, CSR: m.csr, Facts: api.MachineFacts{Serial: "s", MACs: []string{"52:54:00:00:00:03"}}})
	if err != nil {
		m.l.t.Fatal(err)
	}
	return m.post(string(b))
}

// expect checks status and text of an answer.
func (l *lab) expect(resp *http.Response, body string, status int, text string) {
	l.t.Helper()
	if resp.StatusCode != status || !strings.Contains(body, text) {
		l.t.Fatalf("answer %s %s, want %d with %q", resp.Status, body, status, text)
	}
	if status == 503 && resp.Header.Get("Retry-After") != "1" {
		l.t.Errorf("503 without Retry-After")
	}
}

func (l *lab) admitted(m *machine, token string) api.EnrolReply {
	l.t.Helper()
	resp, body := m.enrol(token)
	l.expect(resp, body, 200, "certificate")
	var r api.EnrolReply
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		l.t.Fatal(err)
	}
	c, err := pki.ParseCert([]byte(r.Certificate))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := c.CheckSignatureFrom(l.site.CA()); err != nil || !m.key.PublicKey.Equal(c.PublicKey) {
		l.t.Errorf("certificate of %s: %v", c.Subject, err)
	}
	if p := identity.FromCertificate(c); p.Name != r.Node.Name || !p.Is(r.Node.Roles...) {
		l.t.Errorf("certificate is of %+v, node is %+v", p, r.Node)
	}
	return r
}

func (l *lab) state(name string, want api.MachineState, reason string) {
	l.t.Helper()
	m, _ := l.inv.Named(name)
	if m.State != want || !strings.Contains(m.Reason, reason) {
		l.t.Errorf("%s is %s (%s), want %s (%s)", name, m.State, m.Reason, want, reason)
	}
}

// accept tells the provisioner, as the master, that the key has arrived.
func (l *lab) accept(m *machine, r api.EnrolReply) int {
	l.t.Helper()
	b, err := pki.EncodeKey(m.key)
	if err != nil {
		l.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(r.Certificate), b)
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := m.client(&pair).Post(l.url+"/v1/ca/accepted", "", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// masterCA is the calls of a master's ca that the provisioner makes, with the
// key that came sealed.
func (l *lab) masterCA(m *machine, r api.EnrolReply) {
	l.t.Helper()
	key, err := pki.OpenCA(m.key, r.SealedCAKey, l.site.CA())
	if err != nil {
		l.t.Fatal(err)
	}
	dir := l.t.TempDir()
	b, err := pki.EncodeKey(m.key)
	if err != nil {
		l.t.Fatal(err)
	}
	for name, data := range map[string][]byte{identity.FileCA: []byte(r.CA), identity.FileCert: []byte(r.Certificate), identity.FileKey: b} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	cfg, err := (&identity.Source{Dir: dir}).Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		l.t.Fatal(err)
	}
	url := l.serve("127.0.0.11:0", cfg, identity.Require(func(w http.ResponseWriter, r *http.Request) {
		var in api.SignRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			api.WriteError(w, err)
			return
		}
		csr, err := pki.ParseRequest([]byte(in.CSR))
		if err != nil {
			api.WriteError(w, err)
			return
		}
		pem, err := pki.Sign(l.site.CA(), key, csr, in.Name, "lab", in.Roles, []net.IP{net.ParseIP(in.Addresses[0])}, time.Now())
		if err != nil {
			api.WriteError(w, err)
			return
		}
		writeJSON(w, 200, api.SignReply{Certificate: string(pem)})
	}, api.RoleProvisioner))
	l.server.CAPort = int(netip.MustParseAddrPort(strings.TrimPrefix(url, "https://")).Port())
}

// TestStory is a site's first hour.
func TestStory(t *testing.T) {
	l := newLab(t)
	m1, m2, a1 := l.machine("127.0.0.11"), l.machine("127.0.0.12"), l.machine("127.0.0.21")

	resp, body := a1.enrol(l.tokens["a1"])
	l.expect(resp, body, 503, "a1 waits for the first master")
	r := l.admitted(m1, l.tokens["m1"])
	l.state("m1", api.MachineAdmitted, "")
	if r.Node.Address != "127.0.0.11" || r.Node.Provisioner != "127.0.0.1" || r.Node.Registry != "127.0.0.1:7500" || len(r.Node.Masters) != 2 {
		t.Errorf("m1 is told %+v", r.Node)
	}
	again := l.admitted(m1, l.tokens["m1"]) // the answer was lost
	if again.Certificate != r.Certificate || !bytes.Equal(again.SealedCAKey, r.SealedCAKey) {
		t.Error("the same request got another answer")
	}
	resp, body = m2.enrol(l.tokens["m2"])
	l.expect(resp, body, 503, "waits until m1 has taken the site CA's key")

	if code := l.accept(m1, r); code != 204 {
		t.Errorf("accepted: %d", code)
	}
	if _, err := os.Stat(filepath.Join(l.dir, "ca/ca.key")); !os.IsNotExist(err) {
		t.Errorf("CA key is still here: %v", err)
	}
	if code := l.accept(m1, r); code != 204 {
		t.Errorf("accepted again: %d", code)
	}
	resp, body = a1.enrol(l.tokens["a1"])
	l.expect(resp, body, 503, "master's ca does not answer yet")
	l.masterCA(m1, r)
	if r := l.admitted(a1, l.tokens["a1"]); r.SealedCAKey != nil {
		t.Error("an agent got the CA key")
	}
	r2 := l.admitted(m2, l.tokens["m2"])
	if r2.SealedCAKey != nil {
		t.Error("the second master got the CA key")
	}
	if code := l.accept(m2, r2); code != 403 {
		t.Errorf("m2 accepted what it never got: %d", code)
	}

	// a1 loses power: it comes back with a new key.
	a1 = l.machine("127.0.0.21")
	resp, body = a1.enrol(l.tokens["a1"])
	l.expect(resp, body, 403, "was used at")
	l.state("a1", api.MachinePending, "a machine without disks needs a new token for each power-on")
	fresh, err := l.site.NewToken("a1", machines[2].Roles, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l.admitted(a1, fresh)
	l.state("a1", api.MachineAdmitted, "")

	// m1 loses power, and with it the only CA key.
	fresh, err = l.site.NewToken("m1", machines[0].Roles, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	resp, body = l.machine("127.0.0.11").enrol(fresh)
	l.expect(resp, body, 403, "the key is lost")

	for name, token := range l.tokens {
		_, secret, _ := strings.Cut(strings.SplitN(token, "@", 2)[0], ".")
		if strings.Contains(l.log.String(), secret) {
			t.Errorf("the log holds the secret of %s", name)
		}
	}
}

func TestRefused(t *testing.T) {
	l := newLab(t)
	a1 := l.machine("127.0.0.21")
	resp, body := a1.enrol("")
	l.expect(resp, body, 202, "listed as pending: no token shown")
	l.state("a1", api.MachinePending, "no token shown")
	resp, body = a1.enrol("ingot.token=00.11@sha256:22")
	l.expect(resp, body, 403, "unknown to this site")
	l.state("a1", api.MachinePending, "unknown to this site")

	thief := l.machine("127.0.0.99") // m1's token, shown from elsewhere
	resp, body = thief.enrol(l.tokens["m1"])
	l.expect(resp, body, 403, "for m1 at 127.0.0.11, shown from 127.0.0.99")
	l.state("m1", api.MachineExpected, "")
	l.admitted(l.machine("127.0.0.11"), l.tokens["m1"]) // it is still good
}

func TestBadRequests(t *testing.T) {
	l := newLab(t)
	m := l.machine("127.0.0.11")
	other := l.machine("127.0.0.11")
	forged := strings.Replace(m.csr, "\n", "\nAA", 1)
	for name, body := range map[string]string{
		"empty":         "",
		"no JSON":       "<html>",
		"unknown field": `{"csr":"x","role":"master"}`,
		"two documents": `{"csr":` + quote(m.csr) + `}{}`,
		"no request":    `{"csr":"x"}`,
		"forged":        `{"csr":` + quote(forged) + `}`,
		"long fact":     `{"csr":` + quote(other.csr) + `,"facts":{"serial":"` + strings.Repeat("x", 300) + `","macs":[],"address":""}}`,
		"too long":      `{"csr":"` + strings.Repeat("x", maxBody) + `"}`,
	} {
		resp, text := m.post(body)
		if resp.StatusCode != 400 || strings.Contains(text, "\n\n") {
			t.Errorf("%s: %s %s", name, resp.Status, text)
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// TestRace sends one token from two keys at once: one wins.
func TestRace(t *testing.T) {
	l := newLab(t)
	var wg sync.WaitGroup
	codes := make([]int, 4)
	for i := range codes {
		m := l.machine("127.0.0.11")
		wg.Go(func() {
			resp, _ := m.enrol(l.tokens["m1"])
			codes[i] = resp.StatusCode
		})
	}
	wg.Wait()
	won := 0
	for _, c := range codes {
		if c == 200 {
			won++
		}
	}
	if won != 1 {
		t.Errorf("answers %v, want one 200", codes)
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	now := time.Unix(0, 0)
	passed := 0
	for range 100 {
		if l.allow(home, now) {
			passed++
		}
	}
	if passed != burst || l.allow(home, now) || !l.allow(netip.MustParseAddr("10.0.0.2"), now) || !l.allow(home, now.Add(time.Second)) {
		t.Errorf("%d of 100 passed at once, want %d", passed, burst)
	}
}

// TestPin checks that the chain shown leads a machine that only knows the
// digest of the CA to that CA.
func TestPin(t *testing.T) {
	l := newLab(t)
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // the pin is what is tested
	c, err := d.DialContext(context.WithoutCancel(t.Context()), "tcp", strings.TrimPrefix(l.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	chain := c.(*tls.Conn).ConnectionState().PeerCertificates
	if _, pin, _ := strings.Cut(l.tokens["m1"], "@"); len(chain) != 2 || pki.Pin(chain[1]) != pin || chain[0].CheckSignatureFrom(chain[1]) != nil {
		t.Errorf("chain of %d does not end in %s", len(chain), pin)
	}
}
