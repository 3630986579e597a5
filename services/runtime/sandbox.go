package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Record is task.json of a sandbox: what outlives containerd and the agent.
type Record struct {
	ID        string    `json:"id"`
	Container string    `json:"container"`
	Boot      string    `json:"boot"` // boot id of the kernel it started under
	PID       int       `json:"pid"`
	IP        string    `json:"ip,omitempty"`
	StartedAt time.Time `json:"started_at"`
	Exit      *Exit     `json:"exit,omitempty"`
}

// Exit is how a task ended.
type Exit struct {
	Code int       `json:"code"` // 128 + signal for a killed one
	At   time.Time `json:"at"`
	OOM  bool      `json:"oom,omitempty"`
}

func (r *Runtime) sandbox(id string, names ...string) string {
	return filepath.Join(append([]string{r.cfg.Data, "tasks", id}, names...)...)
}

// makeSandbox makes a task's folder with its two logs, which the shim appends
// to and the log component reads.
func (r *Runtime) makeSandbox(a api.Alloc) error {
	dir := r.sandbox(a.ID)
	if err := os.MkdirAll(filepath.Join(dir, "work"), 0o755); err != nil {
		return fmt.Errorf("make sandbox: %w", err)
	}
	if err := readableByGroup(dir, 0o750); err != nil {
		return err
	}
	for _, name := range []string{"stdout", "stderr"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return fmt.Errorf("make task's %s: %w", name, err)
		}
		f.Close()
		if err := readableByGroup(f.Name(), 0o640); err != nil {
			return err
		}
	}
	return nil
}

// readableByGroup lets the group ingot read, where there is one.
func readableByGroup(path string, mode fs.FileMode) error {
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	g, err := user.LookupGroup("ingot")
	if err != nil {
		return nil // not a node: no other component would read it
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("group ingot: id %q is no number", g.Gid)
	}
	if err := os.Chown(path, 0, gid); err != nil {
		return fmt.Errorf("give %s to group ingot: %w", path, err)
	}
	return nil
}

// record reads task.json; no file is a task that never started.
func (r *Runtime) record(id string) (Record, bool, error) {
	b, err := os.ReadFile(r.sandbox(id, "task.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("read record of %s: %w", id, err)
	}
	var rec Record
	if err := json.Unmarshal(b, &rec); err != nil {
		return Record{}, false, fmt.Errorf("read record of %s: %w", id, err)
	}
	return rec, true, nil
}

func (r *Runtime) writeRecord(rec Record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("write record of %s: %w", rec.ID, err)
	}
	path := r.sandbox(rec.ID, "task.json")
	if err := os.WriteFile(path+".new", b, 0o640); err != nil {
		return fmt.Errorf("write record of %s: %w", rec.ID, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write record of %s: %w", rec.ID, err)
	}
	return readableByGroup(path, 0o640)
}

func (r *Runtime) forgetRecord(id string) error {
	if err := os.Remove(r.sandbox(id, "task.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove record: %w", err)
	}
	return nil
}
