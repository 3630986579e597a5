package rack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/child"
	"github.com/ingot-os/ingot/qemu-tests/netns"
)

// graceDaemon is how long a daemon may take to end its rack by itself.
const graceDaemon = 15 * time.Second

// Down ends the rack in dir, whatever is left of it, and removes what it made.
// No rack at all is fine.
func Down(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	s, err := readState(dir)
	if err != nil && !errors.Is(err, ErrNoRack) {
		return fmt.Errorf("end the rack: %w", err)
	}
	if err == nil && s.Daemon.PID != os.Getpid() {
		if err := endDaemon(s.Daemon); err != nil {
			return fmt.Errorf("end the rack: %w", err)
		}
	}
	if err := errors.Join(sweep(dir), removeFiles(dir)); err != nil {
		return fmt.Errorf("end the rack: %w", err)
	}
	return nil
}

// endDaemon asks the daemon to end its rack, then insists.
func endDaemon(d child.Ident) error {
	if !d.Alive() {
		return nil
	}
	if err := d.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if d.Wait(graceDaemon) {
		return nil
	}
	if err := d.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	d.Wait(graceDaemon)
	return nil
}

// sweep ends what a daemon has left running and removes its namespace.
func sweep(dir string) error {
	all, err := readProcesses(dir)
	if err != nil {
		return err
	}
	var errs []error
	for name, id := range all {
		if err := id.Signal(syscall.SIGKILL); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	for name, id := range all {
		if !id.Wait(graceDaemon) {
			errs = append(errs, fmt.Errorf("%s: process %d does not end", name, id.PID))
		}
	}
	return errors.Join(append(errs, netns.Remove(spaceName(dir)))...)
}
