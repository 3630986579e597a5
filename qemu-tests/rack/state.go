package rack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/qemu-tests/child"
	"github.com/ingot-os/ingot/qemu-tests/vm"
	"golang.org/x/sys/unix"
)

// Names of a rack's files in its folder. What else is there is not the rack's.
const (
	stateFile     = "rack.json"
	processFile   = "processes.json"
	lockFile      = "rack.lock"
	controlSock   = "rack.sock"
	EventsFile    = "events.ndjson"
	ProvisionLog  = "provisioner.log"
	RecordingFile = "wire.pcap"
	wireSock      = "wire.sock"
	machinesDir   = "machines"
)

// State is what a rack in a folder is, for processes other than its daemon.
type State struct {
	Dir       string    `json:"dir"`
	Namespace string    `json:"namespace"`
	Forward   string    `json:"forward,omitempty"`
	Machines  []Machine `json:"machines"`
	// Provisioner is the unix socket of the site's list of machines.
	Provisioner string      `json:"provisioner"`
	Daemon      child.Ident `json:"daemon"`
	// Running tells whether the daemon is alive.
	Running bool `json:"running"`
}

// ErrNoRack is the cause when there is no rack in a folder.
var ErrNoRack = errors.New("no rack is there")

// Load reads what is known of the rack in dir.
func Load(dir string) (State, error) {
	s, err := readState(dir)
	if err != nil {
		return s, err
	}
	s.Running = s.Daemon.Alive()
	return s, nil
}

func readState(dir string) (State, error) {
	var s State
	path := filepath.Join(dir, stateFile)
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return s, fmt.Errorf("look for a rack in %s: %w (ingot up makes one)", dir, ErrNoRack)
	}
	if err != nil {
		return s, fmt.Errorf("look for a rack: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// writeJSON replaces a file in one step: a killed daemon leaves the old or the
// new one.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readProcesses lists, by name, what a rack has started; none is fine.
func readProcesses(dir string) (map[string]child.Ident, error) {
	all := map[string]child.Ident{}
	b, err := os.ReadFile(filepath.Join(dir, processFile))
	if os.IsNotExist(err) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, processFile), err)
	}
	return all, nil
}

// lock takes the folder for one rack; the kernel gives it back with the process.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("a rack is already running in %s: ingot down ends it", dir)
	}
	return f, nil
}

// removeFiles takes away what a rack makes in its folder, and nothing else.
func removeFiles(dir string) error {
	var errs []error
	remove := func(path string) {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	machines, err := os.ReadDir(filepath.Join(dir, machinesDir))
	if err != nil && !os.IsNotExist(err) {
		errs = append(errs, err)
	}
	for _, m := range machines {
		folder := filepath.Join(dir, machinesDir, m.Name())
		for _, name := range append([]string{wireSock}, vm.Files...) {
			remove(filepath.Join(folder, name))
		}
		_ = os.Remove(folder) // stays when somebody else keeps something there
	}
	_ = os.Remove(filepath.Join(dir, machinesDir))
	for _, name := range []string{controlSock, EventsFile, ProvisionLog, RecordingFile, processFile, stateFile, lockFile} {
		remove(filepath.Join(dir, name))
		_ = os.Remove(filepath.Join(dir, name+".new"))
	}
	_ = os.Remove(dir)
	return errors.Join(errs...)
}
