package scheduler

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/services/scheduler/state"
	"github.com/ingot-os/ingot/services/store"
)

// site is a master for tests: a real store, a real scheduler behind mTLS, and
// certificates for whoever wants to talk to it.
type site struct {
	t      *testing.T
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	dir    string
	store  *store.Store
	etcd   *clientv3.Client
	listen string
	http   *http.Client // an operator's
	stop   func()       // of the scheduler
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	var err error
	s.ca, s.key, err = pki.NewCA("lab", time.Now())
	check(t, err)
	s.identity("m1", api.RoleMaster)
	s.store, err = store.Start(t.Context(), store.Options{Identity: s.folder("m1"), Data: s.dir + "/data", Listen: "127.0.0.1:0"})
	check(t, err)
	t.Cleanup(s.store.Close)
	s.etcd, err = state.Open(t.Context(), &identity.Source{Dir: s.folder("m1")}, s.store.Address())
	check(t, err)
	t.Cleanup(func() { _ = s.etcd.Close() })
	s.http = s.client("op", api.RoleOperator)
	s.listen = freePort(t)
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort returns an address that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (s *site) folder(name string) string { return filepath.Join(s.dir, name) }

// identity writes a node's folder, as enrolment would.
func (s *site) identity(name string, roles ...api.Role) {
	s.t.Helper()
	key, err := pki.NewKey()
	check(s.t, err)
	req, err := pki.NewRequest(key, name)
	check(s.t, err)
	csr, err := pki.ParseRequest(req)
	check(s.t, err)
	cert, err := pki.Sign(s.ca, s.key, csr, name, "lab", roles, nil, time.Now())
	check(s.t, err)
	pemKey, err := pki.EncodeKey(key)
	check(s.t, err)
	node, err := json.Marshal(api.NodeIdentity{Name: name, Site: "lab", Roles: roles, Address: "127.0.0.1", Masters: []string{"127.0.0.1"}})
	check(s.t, err)
	check(s.t, os.MkdirAll(s.folder(name), 0o700))
	for file, b := range map[string][]byte{identity.FileCA: pki.EncodeCert(s.ca), identity.FileCert: cert, identity.FileKey: pemKey, identity.FileNode: node} {
		check(s.t, os.WriteFile(filepath.Join(s.folder(name), file), b, 0o600))
	}
}

func (s *site) client(name string, roles ...api.Role) *http.Client {
	s.t.Helper()
	s.identity(name, roles...)
	c, err := (&identity.Source{Dir: s.folder(name)}).HTTPClient()
	check(s.t, err)
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// start runs the component and waits until it leads.
func (s *site) start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, []string{"--identity", s.folder("m1"), "--listen", s.listen, "--store", s.store.Address()})
	}()
	s.stop = func() {
		cancel()
		if err, first := <-done; first && err != nil {
			s.t.Errorf("scheduler ended: %v", err)
		}
		s.stop = func() {}
	}
	eventually(s.t, "a leader", func() string {
		if code, body := s.try("GET", "/v1/nodes", ""); code != 200 {
			return fmt.Sprintf("%d %s", code, body)
		}
		return ""
	})
}

// eventually waits until check has nothing to object to.
func eventually(t *testing.T, what string, check func() (objection string)) {
	t.Helper()
	deadline := time.Now().Add(25 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		why := check()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, why)
		}
		<-tick.C
	}
}

// try is one call of the operator's; 0 when it did not get through.
func (s *site) try(method, path, body string) (int, string) {
	req, err := http.NewRequest(method, "https://"+s.listen+path, strings.NewReader(body))
	check(s.t, err)
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// call is a call that must be answered with a status; out takes the JSON.
func (s *site) call(method, path, body string, want int, out any) {
	s.t.Helper()
	code, text := s.try(method, path, body)
	if code != want {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, code, text, want)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(text), out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// tasks lists an app's tasks.
func (s *site) tasks(id string) []api.Task {
	s.t.Helper()
	var out struct {
		App api.App `json:"app"`
	}
	s.call("GET", "/v2/apps"+id, "", 200, &out)
	return out.App.Tasks
}

// settled waits for the end of all deployments.
func (s *site) settled() {
	s.t.Helper()
	eventually(s.t, "no deployment left", func() string {
		if code, body := s.try("GET", "/v2/deployments", ""); code != 200 || strings.TrimSpace(body) != "[]" {
			_, apps := s.try("GET", "/v2/apps?embed=apps.tasks", "")
			return body + apps
		}
		return ""
	})
}

// lose ends a node's lease, as twelve seconds of silence would.
func (s *site) lose(node string) {
	s.t.Helper()
	res, err := s.etcd.Get(s.t.Context(), state.Prefix+"alive/"+node)
	check(s.t, err)
	if len(res.Kvs) == 0 {
		s.t.Fatalf("node %s has no lease", node)
	}
	_, err = s.etcd.Revoke(s.t.Context(), clientv3.LeaseID(res.Kvs[0].Lease))
	check(s.t, err)
}

// follow calls take for each line of an NDJSON stream until ctx ends or the
// stream does.
func follow[T any](ctx context.Context, c *http.Client, url string, take func(T)) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return fmt.Errorf("GET %s: %s", url, res.Status)
	}
	for d := json.NewDecoder(res.Body); ; {
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		take(v)
	}
}

var clientPrefix = clientv3.WithPrefix()
