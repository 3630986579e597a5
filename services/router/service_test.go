package router

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
)

// app is an instance of a service that remembers what it was asked.
type app struct {
	address string
	server  *httptest.Server

	mu   sync.Mutex // guards seen
	seen []*http.Request
}

func newApp(t *testing.T, name string) *app {
	a := &app{}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, r)
		a.mu.Unlock()
		switch r.URL.Path {
		case "/moved":
			w.Header().Set("Location", "/there?a=b")
			w.WriteHeader(http.StatusFound)
		case "/abroad":
			w.Header().Set("Location", "https://elsewhere.example/there")
			w.WriteHeader(http.StatusFound)
		case "/echo":
			_, _ = io.Copy(w, r.Body)
		default:
			fmt.Fprintf(w, "%s %s", name, r.URL.EscapedPath())
		}
	}))
	t.Cleanup(a.server.Close)
	a.address = a.server.Listener.Addr().String()
	return a
}

func (a *app) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[len(a.seen)-1]
}

func (a *app) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

func TestPathsOfServices(t *testing.T) {
	s := newSite(t)
	one, deep, whole := newApp(t, "one"), newApp(t, "deep"), newApp(t, "whole")
	s.route(
		api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{one.address}},
		api.Route{Name: "/a/b", RewriteURLs: true, Endpoints: []string{deep.address}},
		api.Route{Name: "raw", Endpoints: []string{whole.address}},
		api.Route{Name: "empty", App: "/empty", RewriteURLs: true},
	)
	op := s.as("operator")
	for _, c := range []struct {
		path   string
		status int
		body   string // contained
	}{
		{"/service/a/", 200, "one /"},
		{"/service/a/x/y?z=1", 200, "one /x/y"},
		{"/service/a/x%2Fy", 200, "one /x%2Fy"},
		{"/service/a//x", 200, "one //x"},
		{"/service/a", 307, ""},
		{"/service/a/bc", 200, "one /bc"},
		{"/service/a/b/c", 200, "deep /c"},
		{"/service/raw/x", 200, "whole /service/raw/x"},
		{"/service/raw", 200, "whole /service/raw"},
		{"/service/empty/", 503, "no instance of empty runs (app /empty)"},
		{"/service/none/", 404, "services are marathon, a, a/b, raw, empty"},
		{"/nowhere", 404, "no route for /nowhere"},
		{"/service/marathon/v2/apps", 200, `"path":"/v2/apps"`},
		{"/marathon/v2/apps", 307, ""},
		{"/system/v1/nodes", 200, `"node":"m1"`},
		{"/system/v1/node/x/v1/status", 404, "nodes are m1, a1"},
		{"/system/v1/task/x/stdout", 404, `no task \"x\"`},
		{"/system/v1/task/x/core", 404, "it has stdout and stderr"},
		{"/", 200, `"site":"test"`},
	} {
		resp, body := s.ask(op, "GET", c.path, "")
		if resp.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("GET %s: %s %q, want %d %q", c.path, resp.Status, body, c.status, c.body)
		}
	}
	r := whole.last()
	if got := r.Header.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("X-Forwarded-Proto %q", got)
	}
	if host := strings.TrimPrefix(s.url, "https://"); r.Header.Get("X-Forwarded-Host") != host || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("X-Forwarded-* are %v", r.Header)
	}
}

func TestRedirectsLeadBack(t *testing.T) {
	s := newSite(t)
	a := newApp(t, "one")
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{a.address}})
	op := s.as("operator")
	for path, want := range map[string]string{
		"/service/a":                "/service/a/",
		"/service/a/moved":          "/service/a/there?a=b",
		"/service/a/abroad":         "https://elsewhere.example/there",
		"/service/marathon/v2/apps": "/service/marathon/v2/apps/hello",
		"/marathon":                 "/service/marathon/",
		"/marathon/v2/apps?x=y":     "/service/marathon/v2/apps?x=y",
	} {
		resp, _ := s.ask(op, "GET", path, "")
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
}

// TestNodesAreReachedByName: the node API and task logs, with the node's own
// certificate checked against its name.
func TestNodesAreReachedByName(t *testing.T) {
	s := newSite(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := identity.PeerOf(r)
		fmt.Fprintf(w, "%s by %s", r.URL, peer.Name)
	})
	a1, impostor := s.serveTLS("a1", h), s.serveTLS("operator", h)
	defer a1.Close()
	defer impostor.Close()
	port := func(srv *httptest.Server) (n int) {
		_, err := fmt.Sscanf(srv.Listener.Addr().String(), "127.0.0.1:%d", &n)
		must(t, err)
		return n
	}
	s.server.NodePort, s.server.LogPort = port(a1), port(a1)
	op := s.as("operator")
	for path, want := range map[string]string{
		"/system/v1/node/a1/v1/log?unit=x": "/v1/log?unit=x by m1",
		"/system/v1/task/t.2/stdout?lines": "/v1/task/t.2/stdout?lines by m1",
	} {
		if resp, body := s.ask(op, "GET", path, ""); resp.StatusCode != 200 || body != want {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	s.server.NodePort = port(impostor)
	if resp, body := s.ask(op, "GET", "/system/v1/node/a1/v1/status", ""); resp.StatusCode != 503 || !strings.Contains(body, "not a1") {
		t.Errorf("an address that changed hands: %s %s", resp.Status, body)
	}
}

// TestUpgradesAndStreamsPass: a WebSocket handshake ends in a raw connection
// (RFC 6455 section 4), server-sent events arrive before the answer ends.
func TestUpgradesAndStreamsPass(t *testing.T) {
	s := newSite(t)
	more := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: one\n\n")
			w.(http.Flusher).Flush()
			<-more
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(c, rw)
	}))
	defer srv.Close()
	defer close(more)
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{srv.Listener.Addr().String()}})

	op := s.as("operator")
	resp, err := op.Get(s.url + "/service/a/events")
	must(t, err)
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != "data: one\n" {
		t.Errorf("event %q, %v", line, err)
	}
	resp.Body.Close()

	cfg, err := s.source("operator").Client()
	must(t, err)
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), cfg)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	fmt.Fprint(c, "GET /service/a/ws HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	br := bufio.NewReader(c)
	up, err := http.ReadResponse(br, nil)
	must(t, err)
	if up.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %s", up.Status)
	}
	fmt.Fprint(c, "ping\n")
	if got, err := br.ReadString('\n'); got != "ping\n" {
		t.Errorf("echo %q, %v", got, err)
	}
}

// TestRoutesOutliveTheScheduler: while it is away, the last table holds.
func TestRoutesOutliveTheScheduler(t *testing.T) {
	s := newSite(t)
	a := newApp(t, "one")
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{a.address}})
	s.scheduler.CloseClientConnections()
	s.scheduler.Close()
	op := s.as("operator")
	if resp, body := s.ask(op, "GET", "/service/a/", ""); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, body := s.ask(op, "GET", "/service/marathon/v2/apps", ""); resp.StatusCode != 503 || !strings.Contains(body, "the scheduler does not answer") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// TestCurl is somebody else's client, which checks certificates its own way.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is missing: apt-get install curl")
	}
	s := newSite(t)
	a := newApp(t, "one")
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{a.address}})
	cacert := filepath.Join(s.dir, "operator", identity.FileCA)
	for _, c := range []struct{ args, want string }{
		{"--cacert " + cacert + " -H Authorization:token=" + s.token("operator", time.Hour), "one /x"},
		{"--cacert " + cacert + " --cert " + filepath.Join(s.dir, "operator", identity.FileCert) + " --key " + filepath.Join(s.dir, "operator", identity.FileKey), "one /x"},
		{"--cacert " + cacert, "unauthorized"},
		{"", "exit status 60"}, // the peer's certificate is not trusted
	} {
		args := slices.Concat([]string{"-sS", "--noproxy", "*"}, strings.Fields(c.args), []string{s.url + "/service/a/x"})
		out, err := exec.Command(curl, args...).CombinedOutput()
		if got := fmt.Sprintf("%s %v", out, err); !strings.Contains(got, c.want) {
			t.Errorf("curl %s: %s, want %s", c.args, got, c.want)
		}
	}
}
