package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/api"
)

// folder is the agent's data on disk:
//
//	allocs.json              the last AllocSet
//	tasks/ID/status.json     how the instance ended
type folder string

func (f folder) desired() (api.AllocSet, bool, error) {
	var set api.AllocSet
	ok, err := readJSON(filepath.Join(string(f), "allocs.json"), &set)
	return set, ok, err
}

func (f folder) keepDesired(set api.AllocSet) error {
	return writeJSON(filepath.Join(string(f), "allocs.json"), set)
}

func (f folder) settled(id string) (api.AllocStatus, bool, error) {
	var st api.AllocStatus
	ok, err := readJSON(filepath.Join(string(f), "tasks", id, "status.json"), &st)
	return st, ok && st.State.Terminal(), err
}

func (f folder) keepSettled(st api.AllocStatus) error {
	if !api.ValidTaskID(st.ID) {
		return nil // it has no folder, and the next run will judge it the same
	}
	dir := filepath.Join(string(f), "tasks", st.ID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make sandbox: %w", err)
	}
	return writeJSON(filepath.Join(dir, "status.json"), st)
}

// readJSON reads a file that may be missing.
func readJSON(path string, v any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// writeJSON replaces a file in one step that survives a power cut: the bytes
// are on disk before the name points to them, and the name before it returns.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
