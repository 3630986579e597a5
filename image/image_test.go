package image

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-os/ingot/image/debian"
)

func TestLockFileHoldsEverySet(t *testing.T) {
	lock, err := debian.ParseLock(lockJSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		if len(lock.Sets[s.Name]) == 0 {
			t.Errorf("set %s is empty: run `ingot image lock`", s.Name)
		}
		for _, name := range lock.Sets[s.Name] {
			if !slices.ContainsFunc(lock.Packages, func(p debian.Package) bool { return p.Name == name && len(p.SHA256) == 64 }) {
				t.Errorf("package %s of set %s is not in the lock file", name, s.Name)
			}
		}
		for _, root := range s.Roots {
			if s.Versioned == "" && !slices.Contains(lock.Sets[s.Name], root) {
				t.Errorf("set %s is without %s: run `ingot image lock`", s.Name, root)
			}
		}
	}
	for _, p := range lock.Packages {
		if strings.Contains(p.Filename, "://") || !strings.HasPrefix(p.Filename, "pool/") {
			t.Errorf("package %s: file name %q is not relative to a mirror", p.Name, p.Filename)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Root: ".."}, "give --out"},
		{Options{Root: t.TempDir(), Out: t.TempDir()}, "no repository of Ingot"},
		{Options{Root: "..", Out: t.TempDir(), Profile: "mainframe"}, `unknown profile "mainframe"`},
	} {
		if _, err := Build(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.o, err, c.want)
		}
	}
}

func TestOneBuildPerFolder(t *testing.T) {
	b := &build{Options: Options{Out: t.TempDir()}}
	if err := os.MkdirAll(b.work(), 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := b.exclude()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.exclude(); err == nil || !strings.Contains(err.Error(), "another build") {
		t.Errorf("second build: %v", err)
	}
	unlock()
	again, err := b.exclude()
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestOnceMakesAgainWhatChanged(t *testing.T) {
	b := &build{Options: Options{Out: t.TempDir()}}
	if err := os.MkdirAll(b.made(), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.made(), "f")
	for _, step := range []struct {
		name   string
		input  string
		before func() error
		skip   bool
	}{
		{"first", "a", func() error { return nil }, false},
		{"same inputs", "a", func() error { return nil }, true},
		{"other inputs", "b", func() error { return nil }, false},
		{"file cut short", "b", func() error { return os.Truncate(file, 1) }, false},
		{"file gone", "b", func() error { return os.Remove(file) }, false},
		{"quiet again", "b", func() error { return nil }, true},
	} {
		if err := step.before(); err != nil {
			t.Fatal(err)
		}
		_, skipped, err := b.once("f", []string{step.input}, func(path string) error {
			return os.WriteFile(path, []byte("made of "+step.input), 0o644)
		})
		if err != nil || skipped != step.skip {
			t.Errorf("%s: skipped %v, %v", step.name, skipped, err)
		}
	}
	if err := b.publish([]string{"f"}); err != nil {
		t.Fatal(err)
	}
	if err := b.publish([]string{"f"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(b.Out, "f")); string(got) != "made of b" {
		t.Errorf("published %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(b.Out, "*.new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
