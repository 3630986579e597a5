package runtime

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
)

// lab is a node's worth of real programs: containerd, shim, runc, a registry.
type lab struct {
	t      *testing.T
	bin    string
	root   string
	cfg    Config
	engine *exec.Cmd
}

func newLab(t *testing.T) *lab {
	if os.Geteuid() != 0 {
		t.Skip("containers need root")
	}
	if testing.Short() {
		t.Skip("builds and runs containerd: not in -short")
	}
	// Sockets' paths must be short: not t.TempDir.
	root, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	l := &lab{t: t, bin: filepath.Join(root, "bin"), root: root}
	l.build("github.com/ingot-os/ingot/cmd/ingot-engine", "CGO_ENABLED=0", "no_cri,no_btrfs,no_devmapper,no_zfs,no_blockfile", "-s -w")
	l.build("github.com/ingot-os/ingot/cmd/ingotd", "CGO_ENABLED=0", "x", "-s -w")
	l.build("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "CGO_ENABLED=0", "no_cri", "-s -w")
	l.build("github.com/opencontainers/runc", "CGO_ENABLED=1", "netgo,osusergo,seccomp", "-s -w -extldflags -static")
	l.build("./testdata/webtask", "CGO_ENABLED=0", "x", "-s -w")
	id := l.identity()
	l.cfg = Config{Data: filepath.Join(root, "agent"), State: "/run/ingot/containerd", Run: "/run/ingot", Resolv: "/etc/resolv.conf", Identity: id}
	return l
}

func (l *lab) build(pkg, cgo, tags, ld string) {
	out := filepath.Join(l.bin, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", tags, "-ldflags", ld, "-o", out, pkg)
	cmd.Env = append(os.Environ(), cgo)
	if text, err := cmd.CombinedOutput(); err != nil {
		l.t.Skipf("cannot build %s (runc needs gcc and libseccomp-dev): %v\n%s", pkg, err, text)
	}
}

// startEngine starts containerd and waits for its socket to answer.
func (l *lab) startEngine() {
	log, err := os.OpenFile(filepath.Join(l.root, "engine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	notify := l.notifySocket()
	defer notify.Close()
	l.engine = exec.Command(filepath.Join(l.bin, "ingot-engine"), "containerd", "--data", filepath.Join(l.root, "c"), "--state", l.cfg.State)
	l.engine.Env = append(os.Environ(), "PATH="+l.bin, "NOTIFY_SOCKET="+notify.LocalAddr().String())
	l.engine.Stdout, l.engine.Stderr = log, log
	if err := l.engine.Start(); err != nil {
		l.t.Fatal(err)
	}
	_ = notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 256)
	n, err := notify.Read(buf)
	if err != nil || !bytes.Contains(buf[:n], []byte("READY=1")) {
		text, _ := os.ReadFile(log.Name())
		l.t.Fatalf("containerd told init %q, %v\n%s", buf[:n], err, text)
	}
}

func (l *lab) notifySocket() *net.UnixConn {
	path := filepath.Join(l.root, "notify")
	_ = os.Remove(path)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *lab) killEngine() {
	if err := l.engine.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	_ = l.engine.Wait() // "signal: killed"
}

func (l *lab) open() *Runtime {
	r, err := Open(l.cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// identity makes a site of one node, and its registry with the image hello:1.
func (l *lab) identity() *identity.Source {
	dir := filepath.Join(l.root, "identity")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	writeCertificate(l.t, dir)
	id := &identity.Source{Dir: dir}
	cfg, err := id.Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		l.t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	srv := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	l.t.Cleanup(func() { srv.Close(); <-served })
	at := ln.Addr().String()
	node, err := json.Marshal(api.NodeIdentity{Name: "n1", Site: "test", Roles: []api.Role{api.RoleAgent}, Address: nodeAddress, Registry: at})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, identity.FileNode), node, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.push(id, "https://"+at+"/v2/hello")
	return id
}

func writeCertificate(t *testing.T, dir string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n1", OrganizationalUnit: []string{"agent"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	files := map[string][]byte{
		identity.FileCA: cert, identity.FileCert: cert,
		identity.FileKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// push puts an image of one static program into the registry at base.
func (l *lab) push(id *identity.Source, base string) {
	layer := l.layer()
	config := l.json(map[string]any{
		"os": "linux", "architecture": "amd64", "config": map[string]any{"Entrypoint": []string{"/webtask"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	manifest := l.json(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer)},
	})
	client, err := id.HTTPClient()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, b := range [][]byte{layer, config} {
		l.send(client, http.MethodPost, base+"/blobs/uploads/?digest="+digest(b), "application/octet-stream", b)
	}
	l.send(client, http.MethodPut, base+"/manifests/1", "application/vnd.oci.image.manifest.v1+json", manifest)
}

func (l *lab) layer() []byte {
	program, err := os.ReadFile(filepath.Join(l.bin, "webtask"))
	if err != nil {
		l.t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err = w.WriteHeader(&tar.Header{Name: "webtask", Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

func (l *lab) send(c *http.Client, method, url, media string, b []byte) {
	req, err := http.NewRequestWithContext(l.t.Context(), method, url, bytes.NewReader(b))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	resp, err := c.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		l.t.Fatalf("%s %s: %s %s", method, url, resp.Status, text)
	}
}

func (l *lab) json(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func descriptor(media string, b []byte) map[string]any {
	return map[string]any{"mediaType": media, "digest": digest(b), "size": len(b)}
}

// await looks at a task until ok says so.
func await(t *testing.T, r *Runtime, id string, ok func(api.AllocStatus) bool) api.AllocStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var last api.AllocStatus
	var lastErr error
	for {
		list, err := r.List(ctx)
		lastErr = err
		for _, st := range list {
			if st.ID == id {
				if last = st; ok(st) {
					return st
				}
			}
		}
		select {
		case <-r.Changed():
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("task %s: last seen %+v, %v", id, last, lastErr)
		}
	}
}

// get asks until the task answers.
func get(t *testing.T, url string) string {
	t.Helper()
	c := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(10 * time.Second)
	for {
		resp, err := c.Get(url)
		if err == nil {
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK {
				return string(b)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("GET %s: %v", url, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
