package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ulikunitz/xz"
)

// archive is a small signed archive of Debian's shape on loopback.
type archive struct {
	files  map[string][]byte // by path below the mirror
	key    *openpgp.Entity
	client *Client
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	key, err := openpgp.NewEntity("archive", "", "a@test", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{files: map[string][]byte{}, key: key}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := a.files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)
	keyring := filepath.Join(t.TempDir(), "keys.gpg")
	var keys bytes.Buffer
	if err := key.Serialize(&keys); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyring, keys.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	a.client = &Client{Mirror: server.URL, Cache: t.TempDir(), Keyring: keyring}
	return a
}

// add puts a version of a package into the pool and returns its stanza.
func (a *archive) add(name, version, depends string) string {
	file := fmt.Sprintf("pool/%s_%s.deb", name, version)
	a.files[file] = []byte("content of " + name + " " + version)
	return fmt.Sprintf("Package: %s\nVersion: %s\nDepends: %s\nFilename: %s\nSize: %d\nSHA256: %s\n\n",
		name, version, depends, file, len(a.files[file]), sum(a.files[file]))
}

// publish signs an index of the stanzas.
func (a *archive) publish(t *testing.T, stanzas ...string) {
	t.Helper()
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(strings.Join(stanzas, ""))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a.files["dists/trixie/"+packagesXZ] = packed.Bytes()
	a.sign(t, fmt.Sprintf("Origin: Debian\nCodename: trixie\nDate: today\nSHA256:\n %s %d %s\n", sum(packed.Bytes()), packed.Len(), packagesXZ))
	a.client.index = nil
}

func (a *archive) sign(t *testing.T, release string) {
	t.Helper()
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, a.key.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(release)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a.files[releaseFile] = signed.Bytes()
}

var toolSets = []Set{{Name: "tool", Roots: []string{"tool"}}, {Name: "kernel", Roots: []string{"linux-image-cloud"}, Versioned: "linux-image-"}}

func (a *archive) first(t *testing.T) *Lock {
	t.Helper()
	a.publish(t, a.add("tool", "1", "lib"), a.add("lib", "1", ""),
		a.add("linux-image-cloud", "1", "linux-image-6.1-cloud"), a.add("linux-image-6.1-cloud", "6.1-1", ""))
	l, err := a.client.NewLock(t.Context(), toolSets)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func fetchOne(ctx context.Context, c *Client, l *Lock, set string) (string, bool, error) {
	all, err := c.Fetch(ctx, l, set)
	if err != nil {
		return "", false, err
	}
	last := all[len(all)-1]
	data, err := os.ReadFile(last.Path)
	return string(data), last.Locked, err
}

func TestFetch(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, a *archive, l *Lock)
		set    string
		want   string
		locked bool
	}{
		{"as locked", func(*testing.T, *archive, *Lock) {}, "tool", "content of tool 1", true},
		{"newer in the index, older in the pool", func(t *testing.T, a *archive, _ *Lock) {
			a.publish(t, a.add("tool", "2", ""), a.add("lib", "1", ""))
		}, "tool", "content of tool 1", true},
		{"gone from the pool", func(t *testing.T, a *archive, _ *Lock) {
			a.publish(t, a.add("tool", "2", ""), a.add("lib", "1", ""))
			delete(a.files, "pool/tool_1.deb")
		}, "tool", "content of tool 2", false},
		{"kernel of another name", func(t *testing.T, a *archive, _ *Lock) {
			a.publish(t, a.add("linux-image-cloud", "2", "linux-image-6.2-cloud"), a.add("linux-image-6.2-cloud", "6.2-1", ""))
			delete(a.files, "pool/linux-image-6.1-cloud_6.1-1.deb")
		}, "kernel", "content of linux-image-6.2-cloud 6.2-1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newArchive(t)
			l := a.first(t)
			c.change(t, a, l)
			got, locked, err := fetchOne(t.Context(), a.client, l, c.set)
			if err != nil || got != c.want || locked != c.locked {
				t.Errorf("%q, locked %v, %v; want %q, %v", got, locked, err, c.want, c.locked)
			}
			offline := &Client{Mirror: "http://127.0.0.1:1", Cache: a.client.Cache, Keyring: a.client.Keyring}
			if _, _, err := fetchOne(t.Context(), offline, l, c.set); c.locked && err != nil {
				t.Errorf("again, offline: %v", err)
			}
		})
	}
}

func TestFetchRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, a *archive, l *Lock)
		want   string
	}{
		{"no network", func(_ *testing.T, a *archive, _ *Lock) { a.client.Mirror = "http://127.0.0.1:1" }, "check the network"},
		{"no signature", func(_ *testing.T, a *archive, _ *Lock) { a.files[releaseFile] = []byte("<html>sign in</html>") }, "it carries none"},
		{"changed after signing", func(_ *testing.T, a *archive, _ *Lock) {
			a.files[releaseFile] = bytes.Replace(a.files[releaseFile], []byte("Date: today"), []byte("Date: later"), 1)
		}, "check the signature of dists/trixie/InRelease"},
		{"signed by a stranger", func(t *testing.T, a *archive, _ *Lock) {
			a.key = newArchive(t).key
			a.sign(t, "Origin: Debian\nCodename: trixie\n")
		}, "check the signature"},
		{"of another release", func(t *testing.T, a *archive, _ *Lock) {
			a.sign(t, "Origin: Debian\nCodename: bookworm\n")
		}, "it is of Debian bookworm"},
		{"index changed", func(_ *testing.T, a *archive, _ *Lock) {
			index := a.files["dists/trixie/"+packagesXZ]
			index[len(index)-1] ^= 1
		}, "the mirror's copy is damaged"},
		{"package cut short", func(_ *testing.T, a *archive, _ *Lock) {
			a.files["pool/lib_1.deb"] = a.files["pool/lib_1.deb"][:5]
		}, "5 of 16 bytes"},
		{"package changed", func(_ *testing.T, a *archive, _ *Lock) {
			a.files["pool/lib_1.deb"] = []byte("CONTENT OF lib 1")
		}, "the mirror's copy is damaged"},
		{"lock contradicts the index", func(_ *testing.T, _ *archive, l *Lock) {
			for i := range l.Packages {
				l.Packages[i].SHA256 = strings.Repeat("1", 64)
			}
		}, "is not the one Debian signed"},
		{"no such set", func(_ *testing.T, _ *archive, l *Lock) { delete(l.Sets, "tool") }, "no set \"tool\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newArchive(t)
			l := a.first(t)
			a.client.index = nil
			a.client.Cache = t.TempDir()
			c.change(t, a, l)
			_, _, err := fetchOne(t.Context(), a.client, l, "tool")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
			left, _ := filepath.Glob(filepath.Join(a.client.Cache, "sha256", ".*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestLockFileRoundTrip(t *testing.T) {
	l := newArchive(t).first(t)
	data, err := l.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseLock(data)
	if err != nil || len(again.Packages) != len(l.Packages) || again.Sets["kernel"][0] != "linux-image-6.1-cloud" {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := ParseLock([]byte(`{"suite":"bookworm"}`)); err == nil || !strings.Contains(err.Error(), "ingot image lock") {
		t.Errorf("lock of another suite: %v", err)
	}
}
