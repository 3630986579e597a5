// Package atomicfile writes small state files so that a reader sees the old
// content or the new one, never a part, and never with wider rights than asked.
//
// The files live in memory (/run): nothing is flushed to a disk.
package atomicfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Owner is who a file is given to. Only root can give files away: elsewhere
// (tests, a laptop) files stay their maker's.
type Owner struct{ UID, GID int }

// Root owns what only PID 1's program touches.
var Root = Owner{}

// Write puts b at path with exactly these rights.
func Write(path string, b []byte, mode os.FileMode, o Owner) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // rights 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone after the rename: then this does nothing
	if _, err = f.Write(b); err == nil {
		err = give(f, mode, o)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func give(f *os.File, mode os.FileMode, o Owner) error {
	if os.Geteuid() == 0 {
		if err := f.Chown(o.UID, o.GID); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

// JSON is Write of a document that everyone may read.
func JSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Write(path, append(b, '\n'), 0o644, Root)
}

// Dir makes a folder with exactly these rights and owner; one that is there
// gets them.
func Dir(path string, mode os.FileMode, o Owner) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, o.UID, o.GID); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}
