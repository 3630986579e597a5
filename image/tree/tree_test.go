package tree

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func paths(t *Tree) (all []string) {
	for _, e := range t.Entries() {
		all = append(all, e.Path)
	}
	return all
}

func TestEntriesAreSortedWithFolders(t *testing.T) {
	var tr Tree
	must(t, tr.Text("/b/c/file", "x"))
	must(t, tr.Symlink("a", "b"))
	must(t, tr.Dir("b", 0o700))
	must(t, tr.Text("../../etc/up", "stays inside"))
	want := []string{"a", "b", "b/c", "b/c/file", "etc", "etc/up"}
	if d := cmp.Diff(want, paths(&tr)); d != "" {
		t.Error(d)
	}
	tr.Remove("b/c")
	if d := cmp.Diff([]string{"a", "b", "etc", "etc/up"}, paths(&tr)); d != "" {
		t.Error(d)
	}
}

func TestAddRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		add  []Entry
	}{
		{"device", []Entry{{Path: "dev/null", Mode: fs.ModeDevice | fs.ModeCharDevice}}},
		{"file below file", []Entry{{Path: "a"}, {Path: "a/b"}}},
		{"folder over file", []Entry{{Path: "a"}, {Path: "a", Mode: fs.ModeDir}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tr Tree
			var err error
			for _, e := range c.add {
				err = tr.Add(e)
			}
			if err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestDigestAndWrite(t *testing.T) {
	source := filepath.Join(t.TempDir(), "s")
	must(t, os.WriteFile(source, []byte("same"), 0o600))
	var a, b Tree
	must(t, a.Text("x/f", "same"))
	must(t, b.Copy("x/f", 0o644, source))
	da, err := a.Digest()
	must(t, err)
	db, err := b.Digest()
	must(t, err)
	if da != db {
		t.Error("content from memory and from disk differ in digest")
	}
	must(t, b.Copy("x/f", 0o755, source))
	if db, err = b.Digest(); err != nil || da == db {
		t.Error("mode is not in the digest")
	}
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, b.Write(dir))
	info, err := os.Stat(filepath.Join(dir, "x", "f"))
	must(t, err)
	if info.Mode() != 0o755 || info.Size() != 4 {
		t.Errorf("written as %v, %d bytes", info.Mode(), info.Size())
	}
}
