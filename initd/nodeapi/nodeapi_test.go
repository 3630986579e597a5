package nodeapi

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
)

// site makes identities.
type site struct {
	t   *testing.T
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

func newSite(t *testing.T, name string) *site {
	t.Helper()
	ca, key, err := pki.NewCA(name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &site{t, ca, key}
}

func (s *site) member(name string, roles ...api.Role) *identity.Source {
	s.t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := pki.NewRequest(key, name)
	if err != nil {
		s.t.Fatal(err)
	}
	csr, err := pki.ParseRequest(req)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := pki.Sign(s.ca, s.key, csr, name, "lab", roles, nil, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	k, err := pki.EncodeKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	dir := s.t.TempDir()
	for name, b := range map[string][]byte{identity.FileCA: pki.EncodeCert(s.ca), identity.FileCert: cert, identity.FileKey: k} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return &identity.Source{Dir: dir}
}

// initd is a control socket that says what it was asked, and a log that follows:
// one line, and the next only when more is closed.
func initd(t *testing.T, more <-chan struct{}) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "initd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.Method, r.URL) })
	mux.HandleFunc("GET /v1/log", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		fmt.Fprintln(w, "second")
	})
	mux.HandleFunc("POST /v1/units/unknown.service/start", func(w http.ResponseWriter, _ *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "no unit unknown.service"))
	})
	srv := &http.Server{Handler: mux}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return socket
}

// start runs `initd api` and answers its address.
func start(t *testing.T, node *identity.Source, socket string) string {
	t.Helper()
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
	go func() { done <- Run(ctx, []string{"--identity", node.Dir, "--socket", socket, "--listen", address}) }()
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
	return "https://" + address
}

func get(t *testing.T, who *identity.Source, method, url string) (int, string, error) {
	t.Helper()
	c, err := who.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestWhoMayCallWhat(t *testing.T) {
	s := newSite(t, "lab")
	url := start(t, s.member("n1", api.RoleAgent), initd(t, nil))
	op, agent := s.member("operator", api.RoleOperator), s.member("a1", api.RoleAgent)
	for _, c := range []struct {
		who          *identity.Source
		method, path string
		status       int
		says         string
	}{
		{op, "GET", "/v1/status", 200, "GET /v1/status"},
		{op, "POST", "/v1/units/a.service/kill?signal=9", 200, "POST /v1/units/a.service/kill?signal=9"},
		{s.member("m1", api.RoleMaster), "GET", "/v1/units/a@b.service", 200, "a@b.service"},
		{op, "POST", "/v1/units/unknown.service/start", 404, "no unit unknown.service"},
		{agent, "GET", "/v1/status", 403, "needs one of"},
		{agent, "POST", "/v1/power?action=poweroff", 403, "needs one of"},
		{s.member("provisioner", api.RoleProvisioner), "GET", "/v1/units", 403, "needs one of"},
		{op, "GET", "/v2/x", 404, "the node API has no GET /v2/x"},
		{op, "DELETE", "/v1/units/a.service", 404, "the node API has no DELETE"},
	} {
		status, body, err := get(t, c.who, c.method, url+c.path)
		if err != nil || status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %q %v, want %d %q", c.method, c.path, status, body, err, c.status, c.says)
		}
	}
	// A certificate of another site with the right role ends in the handshake.
	foreign := newSite(t, "lab").member("operator", api.RoleOperator)
	if err := os.WriteFile(filepath.Join(foreign.Dir, identity.FileCA), pki.EncodeCert(s.ca), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, err := get(t, foreign, "GET", url+"/v1/status"); err == nil {
		t.Errorf("another site's operator got %d", status)
	}
}

func TestStreamsAtOnce(t *testing.T) {
	s, more := newSite(t, "lab"), make(chan struct{})
	url := start(t, s.member("n1", api.RoleAgent), initd(t, more))
	c, err := s.member("operator", api.RoleOperator).HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/log?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "first" {
		t.Fatalf("first line %q, %v", lines.Text(), lines.Err())
	}
	close(more)
	if !lines.Scan() || lines.Text() != "second" {
		t.Fatalf("second line %q, %v", lines.Text(), lines.Err())
	}
}

func TestNoInit(t *testing.T) {
	s := newSite(t, "lab")
	url := start(t, s.member("n1", api.RoleAgent), filepath.Join(t.TempDir(), "none"))
	status, body, err := get(t, s.member("operator", api.RoleOperator), "GET", url+"/v1/status")
	var e api.Error
	if err != nil || status != 503 || json.Unmarshal([]byte(body), &e) != nil || e.Hint == "" {
		t.Errorf("%d %s %v", status, body, err)
	}
}

func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl: Debian package curl")
	}
	s := newSite(t, "lab")
	url := start(t, s.member("n1", api.RoleAgent), initd(t, nil))
	curl := func(dir string, more ...string) (string, error) {
		cmd := exec.Command("curl", append([]string{"-sS", "--max-time", "10", "--cacert", identity.FileCA, url + "/v1/status"}, more...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	dir := s.member("operator", api.RoleOperator).Dir
	if out, err := curl(dir, "--cert", identity.FileCert, "--key", identity.FileKey); err != nil || out != "GET /v1/status" {
		t.Errorf("with certificate: %q %v", out, err)
	}
	if out, err := curl(dir); err == nil {
		t.Errorf("without certificate: %q", out)
	}
}

func TestEveryRouteNamesItsRoles(t *testing.T) {
	for _, r := range routes {
		if len(r.roles) == 0 {
			t.Errorf("%s names no roles", r.pattern)
		}
	}
}
