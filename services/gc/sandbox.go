package gc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// sandboxes removes the folders of ended tasks that are old or too many.
func sandboxes(dir string, keep map[string]bool, now time.Time) (int, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list sandboxes: %w", err)
	}
	var ended []sandbox
	for _, e := range entries {
		if !keep[e.Name()] {
			ended = append(ended, sandbox{e.Name(), lastUse(filepath.Join(dir, e.Name()))})
		}
	}
	n := 0
	for _, name := range old(ended, now) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return n, fmt.Errorf("remove sandbox: %w", err)
		}
		n++
	}
	return n, nil
}

// sandbox of a task that has ended.
type sandbox struct {
	name string
	used time.Time
}

// old picks those past keepFor, and the oldest above keepSandboxes. One used
// within the last minute stays in any case: its task may just be starting.
func old(all []sandbox, now time.Time) []string {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b sandbox) int { return b.used.Compare(a.used) })
	var names []string
	for i, s := range all {
		age := now.Sub(s.used)
		if age > keepFor || i >= keepSandboxes && age > time.Minute {
			names = append(names, s.name)
		}
	}
	return names
}

// lastUse is the newest change to a sandbox or its files.
func lastUse(dir string) time.Time {
	var last time.Time
	paths, _ := filepath.Glob(filepath.Join(dir, "*")) // the pattern is ours, so it is well-formed
	for _, p := range append(paths, dir) {
		if st, err := os.Lstat(p); err == nil && st.ModTime().After(last) {
			last = st.ModTime()
		}
	}
	return last
}

// logs cuts tasks' outputs that have grown too large.
func logs(dir string) (int, error) {
	n := 0
	for _, name := range []string{"stdout", "stderr"} {
		paths, _ := filepath.Glob(filepath.Join(dir, "*", name)) // as above
		for _, p := range paths {
			cut, err := rotate(p)
			if err != nil {
				return n, fmt.Errorf("cut log: %w", err)
			}
			if cut {
				n++
			}
		}
	}
	return n, nil
}

// rotate keeps the end of a log as NAME.1 and empties the log. The shim goes on
// writing to it: it appends, so its next line is at the new end. What arrives
// between the copy and the cut is lost.
func rotate(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() <= maxLog {
		return false, err
	}
	before, err := os.OpenFile(path+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(before, io.NewSectionReader(f, st.Size()-keepLog, keepLog))
	if cerr := before.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return false, err
	}
	return true, f.Truncate(0)
}
