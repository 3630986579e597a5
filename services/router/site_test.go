package router

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/api/token"
)

// site is a CA, identities signed by it, a scheduler with what the router asks
// of one, and a router in front.
type site struct {
	t   *testing.T
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
	dir string // identity folders

	url    string // of the router
	server *Server

	scheduler *httptest.Server
	mu        sync.Mutex // guards what follows
	table     api.RouteTable
	changed   chan struct{}
	seen      []*http.Request // by the scheduler
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), changed: make(chan struct{})}
	var err error
	s.ca, s.key, err = pki.NewCA("test", time.Now())
	must(t, err)
	s.identity("m1", api.RoleMaster)
	s.identity("operator", api.RoleOperator)
	s.identity("a1", api.RoleAgent)
	s.startScheduler()
	s.startRouter()
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// identity writes a folder such as a node keeps.
func (s *site) identity(name string, role api.Role) {
	s.t.Helper()
	key, err := pki.NewKey()
	must(s.t, err)
	pem, err := pki.NewRequest(key, name)
	must(s.t, err)
	csr, err := pki.ParseRequest(pem)
	must(s.t, err)
	cert, err := pki.Sign(s.ca, s.key, csr, name, "test", []api.Role{role}, []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now())
	must(s.t, err)
	keyPEM, err := pki.EncodeKey(key)
	must(s.t, err)
	node, err := json.Marshal(api.NodeIdentity{Name: name, Site: "test", Roles: []api.Role{role}, Address: "127.0.0.1"})
	must(s.t, err)
	dir := filepath.Join(s.dir, name)
	must(s.t, os.Mkdir(dir, 0o700))
	for file, b := range map[string][]byte{
		identity.FileCA: pki.EncodeCert(s.ca), identity.FileCert: cert, identity.FileKey: keyPEM, identity.FileNode: node,
	} {
		must(s.t, os.WriteFile(filepath.Join(dir, file), b, 0o600))
	}
}

func (s *site) source(name string) *identity.Source {
	return &identity.Source{Dir: filepath.Join(s.dir, name)}
}

func (s *site) token(uid string, ttl time.Duration) string {
	jwt, err := token.Mint(s.key, uid, ttl, time.Now())
	must(s.t, err)
	return jwt
}

// startScheduler serves the calls that the router makes, by mTLS.
func (s *site) startScheduler() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/routes", s.stream)
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, []api.NodeSummary{{Alive: true, AgentInventory: api.AgentInventory{Node: "a1", Address: "127.0.0.1"}}})
	})
	mux.HandleFunc("GET /v2/tasks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"tasks": []api.Task{{ID: "t.1", Host: "127.0.0.1"}, {ID: "t.2", Host: "a1"}}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		w.Header().Set("Location", "/v2/apps/hello")
		writeJSON(w, map[string]string{"path": r.URL.Path})
	})
	s.scheduler = s.serveTLS("m1", mux)
	s.t.Cleanup(s.scheduler.Close)
}

// serveTLS runs h with the identity of a node, asking for certificates.
func (s *site) serveTLS(node string, h http.Handler) *httptest.Server {
	cfg, err := s.source(node).Server(tls.RequireAndVerifyClientCert)
	must(s.t, err)
	srv := httptest.NewUnstartedServer(h)
	cert, err := s.source(node).Certificate()
	must(s.t, err)
	cfg.Certificates = []tls.Certificate{*cert} // or httptest puts its own in
	srv.TLS = cfg
	srv.StartTLS()
	return srv
}

func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	for {
		s.mu.Lock()
		now, changed := s.table, s.changed
		s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(now)
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// route publishes routes and waits until the router has them.
func (s *site) route(routes ...api.Route) {
	s.t.Helper()
	s.mu.Lock()
	s.table.Revision++
	s.table.Services = routes
	want := s.table.Revision
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	eventually(s.t, "the router has the routes", func() bool {
		s.server.table.mu.Lock()
		defer s.server.table.mu.Unlock()
		return s.server.table.routes.Revision == want
	})
}

// eventually polls a condition of another goroutine, with a deadline.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func (s *site) startRouter() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	s.server = &Server{Identity: s.source("m1"), Scheduler: s.scheduler.Listener.Addr().String(), NodePort: 1, LogPort: 1}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	cfg, err := s.server.prepare()
	must(s.t, err)
	go func() { ended <- s.server.run(ctx, l, false, 0, cfg) }()
	s.url = "https://" + l.Addr().String()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Errorf("router: %v", err)
		}
	})
}

// anyone is a client that only knows the CA.
func (s *site) anyone() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	return s.client(&tls.Config{RootCAs: pool})
}

func (s *site) as(name string) *http.Client {
	cfg, err := s.source(name).Client()
	must(s.t, err)
	return s.client(cfg)
}

func (s *site) client(cfg *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: cfg}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport:     tr,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request as the operator and returns the answer with its body.
func (s *site) ask(c *http.Client, method, path, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	must(s.t, err)
	if body == "" {
		req.Body = nil
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	must(s.t, err)
	return resp, b.String()
}
