package deb

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-os/ingot/image/tree"
)

// packageBy has Debian's own tool make a package with the given compression.
func packageBy(t *testing.T, compression string) string {
	t.Helper()
	tool, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("no dpkg-deb: install the package dpkg")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control": "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: m <m@test>\nDescription: d\n",
		"usr/bin/tool":   "#!/bin/sh\n", "usr/share/doc/x/copyright": "free",
	} {
		path := filepath.Join(dir, "p", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("tool", filepath.Join(dir, "p/usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "p/usr/bin/tool"), filepath.Join(dir, "p/usr/bin/same")); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "x.deb")
	if text, err := exec.CommandContext(t.Context(), tool, "-Z"+compression, "-b", filepath.Join(dir, "p"), out).CombinedOutput(); err != nil {
		t.Skipf("dpkg-deb cannot make %s: %s", compression, text)
	}
	return out
}

func TestUnpackWhatDpkgMade(t *testing.T) {
	for _, compression := range []string{"none", "gzip", "xz", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			var tr tree.Tree
			err := Unpack(packageBy(t, compression), &tr, func(name string) bool { return !strings.HasPrefix(name, "usr/share") })
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range tr.Entries() {
				got = append(got, e.Mode.String()+" "+e.Path+" "+e.Link+string(e.Data))
			}
			want := []string{
				"drwxr-xr-x usr ", "drwxr-xr-x usr/bin ", "Lrwxrwxrwx usr/bin/link tool",
				"-rwxr-xr-x usr/bin/same #!/bin/sh\n", "-rwxr-xr-x usr/bin/tool #!/bin/sh\n",
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	whole, err := os.ReadFile(packageBy(t, "xz"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("<html>not here</html>"), "cut short": whole[:len(whole)-40], "only the start": whole[:100],
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.deb")
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := Unpack(file, &tree.Tree{}, nil); err == nil || !strings.Contains(err.Error(), "read package") {
				t.Errorf("error %v", err)
			}
		})
	}
}
