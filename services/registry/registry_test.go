package registry

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/pki"
)

// writeTar writes images as an OCI layout, by someone else's writer, into a tar.
func writeTar(t *testing.T, path string, annotations map[string]string, images ...v1.Image) {
	t.Helper()
	dir := t.TempDir()
	l, err := ggcrlayout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range images {
		if err := l.AppendImage(im, ggcrlayout.WithAnnotations(annotations)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func randomImage(t *testing.T, layers int64) v1.Image {
	t.Helper()
	im, err := random.Image(100<<10, layers)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// lab is a registry behind mTLS and the CA that it believes.
type lab struct {
	t    *testing.T
	url  string
	ca   *x509.Certificate
	sign func(name string, roles ...api.Role) tls.Certificate
}

func newLab(t *testing.T, dir string) *lab {
	t.Helper()
	ca, caKey, err := pki.NewCA("lab", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, ca: ca}
	l.sign = func(name string, roles ...api.Role) tls.Certificate {
		key, err := pki.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		b, err := pki.NewRequest(key, name)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := pki.ParseRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := pki.Sign(ca, caKey, csr, name, "lab", roles, []net.IP{net.IPv4(127, 0, 0, 1)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		k, err := pki.EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tls.X509KeyPair(pem, k)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	h, err := Handler(dir)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{l.sign("provisioner", api.RoleProvisioner)}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	l.url = s.URL
	return l
}

func (l *lab) transport(roles ...api.Role) *http.Transport {
	pool := x509.NewCertPool()
	pool.AddCert(l.ca)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{l.sign("a1", roles...)}}}
	l.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// TestPull pulls with go-containerregistry's client and checks every digest.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	hello, base := randomImage(t, 3), randomImage(t, 1)
	writeTar(t, filepath.Join(dir, "hello.tar"), map[string]string{annotationName: "registry.ingot/hello:1", annotationRef: "1"}, hello)
	writeTar(t, filepath.Join(dir, "base.tar"), nil, base)
	l := newLab(t, dir)
	host := strings.TrimPrefix(l.url, "https://")
	for ref, want := range map[string]v1.Image{"hello:1": hello, "base:latest": base} {
		r, err := name.ParseReference(host + "/" + ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Image(r, remote.WithTransport(l.transport(api.RoleAgent)), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		g, err1 := got.Digest()
		w, err2 := want.Digest()
		if g != w || err1 != nil || err2 != nil {
			t.Errorf("%s is %s, want %s", ref, g, w)
		}
	}
	repo, err := name.NewRepository(host + "/hello")
	if err != nil {
		t.Fatal(err)
	}
	if tags, err := remote.List(repo, remote.WithTransport(l.transport(api.RoleOperator))); err != nil || len(tags) != 1 || tags[0] != "1" {
		t.Errorf("tags %v, %v", tags, err)
	}
}

// TestPullIndex pulls through an image index, as of several architectures.
func TestPullIndex(t *testing.T) {
	dir := t.TempDir()
	im := randomImage(t, 1)
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: im, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	src := t.TempDir()
	lp, err := ggcrlayout.Write(src, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := lp.AppendIndex(idx); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.AddFS(os.DirFS(src)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "multi.tar"), buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, dir)
	r, err := name.ParseReference(strings.TrimPrefix(l.url, "https://") + "/multi:latest")
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(r, remote.WithTransport(l.transport(api.RolePublicAgent)), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
}

func TestCalls(t *testing.T) {
	dir := t.TempDir()
	im := randomImage(t, 1)
	writeTar(t, filepath.Join(dir, "hello.tar"), map[string]string{annotationName: "registry.ingot/hello:1"}, im)
	l := newLab(t, dir)
	layers, err := im.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	blobPath := "/v2/hello/blobs/" + digest.String()
	for _, c := range []struct {
		method, path, ranges string
		roles                []api.Role
		status               int
		text                 string
	}{
		{"GET", "/v2/", "", []api.Role{api.RoleAgent}, 200, ""},
		{"GET", blobPath, "bytes=10-19", []api.Role{api.RoleAgent}, 206, ""},
		{"HEAD", "/v2/hello/manifests/1", "", []api.Role{api.RoleMaster, api.RoleAgent}, 200, ""},
		{"GET", "/v2/hello/manifests/2", "", []api.Role{api.RoleAgent}, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/hello/manifests/" + digest.String(), "", []api.Role{api.RoleAgent}, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/nothing/manifests/1", "", []api.Role{api.RoleAgent}, 404, `there is no image \"nothing\"`},
		{"GET", "/v2/hello/blobs/sha256:" + strings.Repeat("0", 64), "", []api.Role{api.RoleAgent}, 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/../etc/passwd", "", []api.Role{api.RoleAgent}, 404, "NAME_UNKNOWN"},
		{"POST", "/v2/hello/blobs/uploads/", "", []api.Role{api.RoleAgent}, 405, "only read"},
		{"GET", "/v2/hello/manifests/1", "", []api.Role{api.RoleMaster}, 403, "needs one of"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, l.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path = c.path
		if c.ranges != "" {
			req.Header.Set("Range", c.ranges)
		}
		resp, err := l.transport(c.roles...).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(b), c.text) {
			t.Errorf("%s %s as %v: %s %s, %v; want %d %q", c.method, c.path, c.roles, resp.Status, b, err, c.status, c.text)
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	good := t.TempDir()
	writeTar(t, filepath.Join(good, "hello.tar"), nil, randomImage(t, 1))
	whole, err := os.ReadFile(filepath.Join(good, "hello.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for want, data := range map[string][]byte{
		"no image (*.tar)":     nil,
		"build the image":      whole[:len(whole)/2],
		"not an OCI layout":    make([]byte, 1024),
		"archive/tar: invalid": bytes.Repeat([]byte("x"), 2048),
	} {
		dir := t.TempDir()
		if data != nil {
			if err := os.WriteFile(filepath.Join(dir, "hello.tar"), data, fs.FileMode(0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Handler(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestNameOf(t *testing.T) {
	for _, c := range []struct{ ref, image, name, tag string }{
		{"1", "registry.ingot/hello:1", "hello", "1"},
		{"1", "", "file", "1"},
		{"", "", "file", "latest"},
		{"team/app:2", "", "team/app", "2"},
		{"", "localhost:5000/app:3", "app", "3"},
	} {
		d := descriptor{Annotations: map[string]string{annotationRef: c.ref, annotationName: c.image}}
		if n, tag := nameOf(d, "/x/file.tar"); n != c.name || tag != c.tag {
			t.Errorf("%q %q: %s:%s, want %s:%s", c.ref, c.image, n, tag, c.name, c.tag)
		}
	}
}
