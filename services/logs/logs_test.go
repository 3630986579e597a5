package logs

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serveAs puts a proven caller of a role in front of the handler.
func serveAs(t *testing.T, data, role string) *httptest.Server {
	h := Handler(data)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if role != "" {
			c := &x509.Certificate{Subject: pkix.Name{CommonName: "x", OrganizationalUnit: []string{role}}}
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c}}}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func sandbox(t *testing.T, id, stdout string) (data, dir string) {
	data = t.TempDir()
	dir = filepath.Join(data, "tasks", id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stdout"), []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return data, dir
}

func TestServe(t *testing.T) {
	data, dir := sandbox(t, "a.1", "one\ntwo\nthree\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		role, path string
		status     int
		body       string
	}{
		{"operator", "/v1/task/a.1/stdout", 200, "one\ntwo\nthree\n"},
		{"master", "/v1/task/a.1/stdout?lines=2", 200, "two\nthree\n"},
		{"operator", "/v1/task/a.1/stdout?lines=0", 200, ""},
		{"operator", "/v1/task/a.1/stdout?lines=-1", 400, ""},
		{"operator", "/v1/task/a.1/stdout?follow=maybe", 400, ""},
		{"operator", "/v1/task/a.1/task.json", 404, ""},
		{"operator", "/v1/task/b.1/stdout", 404, ""},
		{"operator", "/v1/task/" + url.PathEscape("../..") + "/stdout", 400, ""},
		{"operator", "/v1/task/a.1/stderr", 500, ""}, // a link that leads out
		{"operator", "/", 404, ""},
		{"agent", "/v1/task/a.1/stdout", 403, ""},
		{"", "/v1/task/a.1/stdout", 401, ""},
	} {
		t.Run(tc.role+tc.path, func(t *testing.T) {
			resp, err := http.Get(serveAs(t, data, tc.role).URL + tc.path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.status || tc.status == 200 && string(b) != tc.body {
				t.Errorf("%s %q, %v", resp.Status, b, err)
			}
		})
	}
}

func TestFollowUntilTheTaskEnds(t *testing.T) {
	data, dir := sandbox(t, "a.1", "one\n")
	resp, err := http.Get(serveAs(t, data, "operator").URL + "/v1/task/a.1/stdout?follow=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	expect := func(want string) {
		t.Helper()
		if s, err := r.ReadString('\n'); s != want {
			t.Fatalf("got %q, %v; want %q", s, err, want)
		}
	}
	expect("one\n")
	file, err := os.OpenFile(filepath.Join(dir, "stdout"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	say := func(s string) {
		t.Helper()
		if _, err := file.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	say("two\n")
	expect("two\n")
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	say("3\n")
	expect("3\n")
	say("last\n")
	if err := os.WriteFile(filepath.Join(dir, "status.json"), []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("last\n")
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("stream goes on: %v", err)
	}
}

func TestTail(t *testing.T) {
	long := strings.Repeat("0123456789abcde\n", 5000)
	for _, tc := range []struct {
		text string
		n    int
		want int // bytes from the end
	}{
		{"", 3, 0},
		{"a\nb\n", 1, 2},
		{"a\nb", 1, 1},
		{"a\nb", 5, 3},
		{"\n\n\n", 2, 2},
		{long, 4000, 4000 * 16},
	} {
		_, dir := sandbox(t, "a", tc.text)
		f, err := os.Open(filepath.Join(dir, "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		at, err := tail(f, tc.n)
		f.Close()
		if err != nil || at != int64(len(tc.text)-tc.want) {
			t.Errorf("tail(%.10q, %d) = %d, %v; want %d", tc.text, tc.n, at, err, len(tc.text)-tc.want)
		}
	}
}
