// Package cgroup keeps each invocation of a unit in a control group of its own:
// ROOT/ingot/UNIT/INVOCATION (cgroups(7), version 2).
//
// A fresh group per invocation is a must: on kernels 6.12 and 6.18 a process
// cloned into a group that was once killed through cgroup.kill dies at birth.
// Processes live in the leaves only, so controllers can be on in all others.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Tree is the part of the hierarchy that belongs to initd.
type Tree struct {
	mount string
}

const base = "ingot"

// Open makes the base group below a cgroup2 mount.
func Open(mount string) (*Tree, error) {
	t := &Tree{mount}
	if err := os.MkdirAll(filepath.Join(mount, base), 0o755); err != nil {
		return nil, fmt.Errorf("make control group: %w", err)
	}
	enable(filepath.Join(mount, base))
	return t, nil
}

// enable turns on what the kernel has; a limit that needs a missing controller
// fails when it is set, with the controller's file in the error.
func enable(dir string) {
	for _, c := range []string{"+cpu", "+memory", "+io", "+pids"} {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(c), 0o644)
	}
}

// Name is the group of one invocation, relative to the mount.
func Name(unit, invocation string) string {
	return filepath.Join(base, unit, invocation)
}

// Split is the inverse of Name for a path of /proc/PID/cgroup, wherever the base
// lies in it; ok is false for a process outside of the tree.
func Split(path string) (unit, invocation string, ok bool) {
	_, rest, ok := strings.Cut(path, "/"+base+"/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 2 {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// Of tells which invocation a process belongs to.
func Of(pid int) (unit, invocation string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", "", false
	}
	for line := range strings.Lines(string(text)) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			return Split(strings.TrimSpace(path))
		}
	}
	return "", "", false
}

// Limits are the resource control of one invocation; zero is not set, -1 is max.
type Limits struct {
	MemoryMax, TasksMax, CPUWeight int64
}

// Create makes the group of an invocation and sets its limits.
func (t *Tree) Create(unit, invocation string, l Limits) error {
	parent := filepath.Join(t.mount, base, unit)
	dir := filepath.Join(parent, invocation)
	if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make control group: %w", err)
	}
	enable(parent)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make control group: %w", err)
	}
	for file, v := range map[string]int64{"memory.max": l.MemoryMax, "pids.max": l.TasksMax, "cpu.weight": l.CPUWeight} {
		if err := set(filepath.Join(dir, file), v); err != nil {
			return err
		}
	}
	return nil
}

func set(file string, v int64) error {
	if v == 0 {
		return nil
	}
	text := strconv.FormatInt(v, 10)
	if v < 0 {
		text = "max"
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("limit control group: %w", err)
	}
	return nil
}

// FD opens the group for CLONE_INTO_CGROUP.
func (t *Tree) FD(unit, invocation string) (int, error) {
	dir := filepath.Join(t.mount, Name(unit, invocation))
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open control group %s: %w", dir, err)
	}
	return fd, nil
}

// PIDs are the processes of an invocation, those of groups below it included.
func (t *Tree) PIDs(unit, invocation string) []int {
	var pids []int
	root := filepath.Join(t.mount, Name(unit, invocation))
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // a group that vanishes has no processes
		}
		text, _ := os.ReadFile(p)
		for f := range bytes.FieldsSeq(text) {
			if pid, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// Kill sends SIGKILL to all processes of an invocation at once.
func (t *Tree) Kill(unit, invocation string) error {
	file := filepath.Join(t.mount, Name(unit, invocation), "cgroup.kill")
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kill control group: %w", err)
	}
	return nil
}

// Invocations are the groups of a unit that exist, with processes or without.
func (t *Tree) Invocations(unit string) []string {
	entries, _ := os.ReadDir(filepath.Join(t.mount, base, unit))
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

// Sweep removes a unit's empty groups, all but the named one.
func (t *Tree) Sweep(unit, keep string) {
	for _, inv := range t.Invocations(unit) {
		if inv != keep {
			remove(filepath.Join(t.mount, Name(unit, inv)))
		}
	}
}

// remove takes groups below first; one that still has processes stays.
func remove(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			remove(filepath.Join(dir, e.Name()))
		}
	}
	_ = unix.Rmdir(dir)
}
