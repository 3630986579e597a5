package httpboot

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ingot-os/ingot/boot/manifest"
)

func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m := manifest.Manifest{Version: "1", Cmdline: "quiet"}
	for name := range served {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte(name[:1]), 2<<20+3), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := manifest.Describe(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, f)
	}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

type lab struct {
	*httptest.Server
	sent, reports atomic.Int64
	dir           string
}

func start(t *testing.T) *lab {
	t.Helper()
	l := &lab{dir: image(t)}
	h, err := Open(l.dir, "http://10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	h.Log = slog.New(slog.DiscardHandler)
	h.Served = func(_ netip.Addr, n int64) { l.sent.Add(n); l.reports.Add(1) }
	l.Server = httptest.NewServer(h)
	t.Cleanup(func() { l.Close(); h.Close() })
	return l
}

func (l *lab) do(t *testing.T, method, path, rangeHeader string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, l.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path = path
	if rangeHeader != "" {
		req.Header.Set("Range", rangeHeader)
	}
	resp, err := l.Client().Transport.RoundTrip(req) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestServe(t *testing.T) {
	l := start(t)
	for _, c := range []struct {
		method, path, ranges string
		status               int
		length               int64
		contentType          string
	}{
		{"GET", "/boot/ingot.efi", "", 200, 2<<20 + 3, "application/efi"},
		{"HEAD", "/boot/ingot.efi", "", 200, 2<<20 + 3, "application/efi"},
		{"GET", "//boot//initrd", "", 200, 2<<20 + 3, "application/octet-stream"},
		{"GET", "/boot/vmlinuz", "bytes=10-19", 206, 10, "application/octet-stream"},
		{"GET", "/boot/vmlinuz", "bytes=99999999-", 416, -2, ""},
		{"HEAD", "/boot/ipxe", "", 200, -2, "text/plain"},
		{"GET", "/boot/manifest.json", "", 404, -2, ""},
		{"GET", "/boot/../../../etc/passwd", "", 404, -2, ""},
		{"GET", "/", "", 404, -2, ""},
		{"PUT", "/boot/initrd", "", 405, -2, ""},
	} {
		resp, _ := l.do(t, c.method, c.path, c.ranges)
		if resp.StatusCode != c.status || (c.length != -2 && resp.ContentLength != c.length) || (c.contentType != "" && resp.Header.Get("Content-Type") != c.contentType) {
			t.Errorf("%s %s %s: %s, length %d, %s", c.method, c.path, c.ranges, resp.Status, resp.ContentLength, resp.Header.Get("Content-Type"))
		}
		if len(resp.TransferEncoding) > 0 {
			t.Errorf("%s %s: %v", c.method, c.path, resp.TransferEncoding)
		}
	}
}

func TestProgress(t *testing.T) {
	l := start(t)
	if _, body := l.do(t, "GET", "/boot/initrd", ""); len(body) != 2<<20+3 || strings.Trim(body, "i") != "" {
		t.Errorf("got %d bytes", len(body))
	}
	if l.sent.Load() != 2<<20+3 || l.reports.Load() != 3 {
		t.Errorf("%d bytes in %d reports, want 2097155 in 3", l.sent.Load(), l.reports.Load())
	}
}

func TestScript(t *testing.T) {
	_, text := start(t).do(t, "GET", "/boot/ipxe", "")
	for _, want := range []string{"#!ipxe\n", "kernel http://10.0.0.1/boot/vmlinuz quiet ingot.boot=ipxe initrd=initrd ||", "initrd http://10.0.0.1/boot/initrd ||"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// TestBuildBesides replaces a file while it is served: the checked one goes on.
func TestBuildBesides(t *testing.T) {
	l := start(t)
	path := filepath.Join(l.dir, "initrd")
	if err := os.WriteFile(path+".new", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if _, body := l.do(t, "GET", "/boot/initrd", ""); len(body) != 2<<20+3 {
		t.Errorf("got %d bytes of the new file", len(body))
	}
}

func TestOpenRefuses(t *testing.T) {
	cut := image(t)
	if err := os.Truncate(filepath.Join(cut, "initrd"), 1000); err != nil {
		t.Fatal(err)
	}
	none := t.TempDir()
	for dir, want := range map[string]string{
		cut:  "initrd: 1000 of 2097155 bytes: build the image again",
		none: "no image in " + none,
	} {
		if _, err := Open(dir, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
