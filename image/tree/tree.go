// Package tree holds a file tree in the making: the root image, an initramfs or
// the layer of a container image, before it is written in its format.
//
// Paths are relative, with slashes. Everything belongs to root and was changed at
// time 0, so that the same content gives the same bytes. It refuses paths that
// leave the tree and files other than folders, regular files and symbolic links.
package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Entry is one file of a tree. A regular file's content is Data or, when Source
// is set, that of the file Source of this machine.
type Entry struct {
	Path   string
	Mode   fs.FileMode // type and permissions, setuid and the like as in io/fs
	Link   string      // where a symbolic link points
	Data   []byte
	Source string
}

// Tree is a set of entries by path. The zero value is empty and ready.
type Tree struct {
	entries map[string]Entry
}

// Add puts an entry in, in the place of one with the same path, and the folders
// above it where they are missing.
func (t *Tree) Add(e Entry) error {
	e.Path = strings.TrimPrefix(path.Clean("/"+e.Path), "/")
	if e.Path == "" {
		return nil
	}
	if k := e.Mode.Type(); k != 0 && k != fs.ModeDir && k != fs.ModeSymlink {
		return fmt.Errorf("add %s: a file of type %v has no place in an image", e.Path, k)
	}
	if t.entries == nil {
		t.entries = map[string]Entry{}
	}
	if old, ok := t.entries[e.Path]; ok && old.Mode.IsDir() != e.Mode.IsDir() {
		return fmt.Errorf("add %s: it is a folder in one place and a file in another", e.Path)
	}
	t.entries[e.Path] = e
	return t.above(e.Path)
}

func (t *Tree) above(p string) error {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if e, ok := t.entries[dir]; !ok {
			t.entries[dir] = Entry{Path: dir, Mode: fs.ModeDir | 0o755}
		} else if !e.Mode.IsDir() {
			return fmt.Errorf("add %s: %s is not a folder", p, dir)
		}
	}
	return nil
}

// Dir adds a folder.
func (t *Tree) Dir(p string, perm fs.FileMode) error {
	return t.Add(Entry{Path: p, Mode: fs.ModeDir | perm})
}

// Text adds a file with content.
func (t *Tree) Text(p, content string) error {
	return t.Add(Entry{Path: p, Mode: 0o644, Data: []byte(content)})
}

// Copy adds a file whose content is that of source.
func (t *Tree) Copy(p string, perm fs.FileMode, source string) error {
	return t.Add(Entry{Path: p, Mode: perm, Source: source})
}

// Symlink adds a symbolic link at p.
func (t *Tree) Symlink(p, target string) error {
	return t.Add(Entry{Path: p, Mode: fs.ModeSymlink | 0o777, Link: target})
}

// Lookup returns the entry at p.
func (t *Tree) Lookup(p string) (Entry, bool) {
	e, ok := t.entries[strings.TrimPrefix(p, "/")]
	return e, ok
}

// Remove takes p and everything below it out.
func (t *Tree) Remove(p string) {
	p = strings.Trim(p, "/")
	maps.DeleteFunc(t.entries, func(k string, _ Entry) bool {
		return k == p || strings.HasPrefix(k, p+"/")
	})
}

// Entries returns all entries sorted by path, folders before what they hold.
func (t *Tree) Entries() []Entry {
	return slices.SortedFunc(maps.Values(t.entries), func(a, b Entry) int {
		return strings.Compare(a.Path, b.Path)
	})
}

// Open returns the content of a regular file and its length.
func (e Entry) Open() (io.ReadCloser, int64, error) {
	if e.Source == "" {
		return io.NopCloser(bytes.NewReader(e.Data)), int64(len(e.Data)), nil
	}
	f, err := os.Open(e.Source)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Digest names the tree by its content: equal digests, equal trees.
func (t *Tree) Digest() (string, error) {
	all := sha256.New()
	for _, e := range t.Entries() {
		sum := sha256.New()
		if e.Mode.IsRegular() {
			if err := e.copyTo(sum); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(all, "%q %v %q %x\n", e.Path, e.Mode, e.Link, sum.Sum(nil))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// Write makes the tree on disk in dir, which must be empty or absent.
func (t *Tree) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, e := range t.Entries() {
		if err := e.write(filepath.Join(dir, filepath.FromSlash(e.Path))); err != nil {
			return fmt.Errorf("write the tree: %w", err)
		}
	}
	return nil
}

func (e Entry) write(to string) error {
	switch {
	case e.Mode.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	case e.Mode.Type() == fs.ModeSymlink:
		return os.Symlink(e.Link, to)
	default:
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := e.copyTo(f); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return os.Chmod(to, e.Mode) // after creation: the umask has no say
}

func (e Entry) copyTo(w io.Writer) error {
	r, _, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}
