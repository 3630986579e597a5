package debian

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMirror(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"one line", map[string]string{"sources.list": "# deb http://no.test/debian sid main\ndeb [arch=amd64 signed-by=/k] http://a.test/debian/ bookworm main contrib # x\n"}, "http://a.test/debian"},
		{"deb822", map[string]string{"sources.list.d/debian.sources": "Types: deb deb-src\n# note\nURIs: cdrom:[x] https://b.test/debian\nSuites: trixie trixie-updates\nComponents: main\n"}, "https://b.test/debian"},
		{
			"others are passed over",
			map[string]string{
				"sources.list":                    "deb http://sec.test/debian-security bookworm-security main\ndeb-src http://src.test/debian trixie main\n",
				"sources.list.d/a.sources":        "Types: deb\nURIs: http://node.test\nSuites: nodistro\nComponents: main\n\nTypes: deb\nEnabled: no\nURIs: http://off.test/debian\nSuites: trixie\nComponents: main\n",
				"sources.list.d/z-debian.sources": "Types: deb\nURIs: http://c.test/debian\nSuites: stable\nComponents: main\n",
			},
			"http://c.test/debian",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(MirrorEnv, "")
			got, err := Mirror(etc(t, c.files))
			if err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestMirrorFromEnvironment(t *testing.T) {
	t.Setenv(MirrorEnv, "http://mine.test/debian/")
	if got, err := Mirror(t.TempDir()); err != nil || got != "http://mine.test/debian" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv(MirrorEnv, "")
	if _, err := Mirror(t.TempDir()); err == nil || !strings.Contains(err.Error(), MirrorEnv) {
		t.Errorf("no mirror: %v", err)
	}
}

func etc(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
