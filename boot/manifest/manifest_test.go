package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func build(t *testing.T) (string, *Manifest) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vmlinuz"), []byte("a kernel"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Describe(dir, "vmlinuz")
	if err != nil {
		t.Fatal(err)
	}
	m := &Manifest{Version: "1", Profile: "vm", Cmdline: "quiet", Root: "00", Files: []File{f}}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestRoundTrip(t *testing.T) {
	dir, m := build(t)
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, got); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
	if err := got.Verify(dir); err != nil {
		t.Error(err)
	}
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name, content, want string
	}{
		{"short", "a ker", "vmlinuz: 5 of 8 bytes: build the image again"},
		{"changed", "A kernel", "vmlinuz: content changed since the build"},
		{"missing", "", "vmlinuz: missing: build the image again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, m := build(t)
			path := filepath.Join(dir, "vmlinuz")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if c.content != "" {
				if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Verify(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ingot image build") {
		t.Errorf("absent manifest: %v", err)
	}
	for _, text := range []string{`{"version": "1`, `{"files":[{"name":"../etc/passwd"}]}`} {
		if err := os.WriteFile(filepath.Join(dir, Name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "build the image again") {
			t.Errorf("Read of %s: %v", text, err)
		}
	}
}
