package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/qemu-tests/rack"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// undo keeps the logs of a failed rack beside its folder, takes everything
// down, and words both.
func (r *rise) undo(cause error) error {
	kept := filepath.Join(filepath.Dir(r.dir), "failed", "up")
	fmt.Fprintln(r.c.stderr, "taking everything down again")
	if err := r.keep(kept); err != nil {
		cause = fmt.Errorf("%w; the logs could not be kept: %w", cause, err)
	} else {
		cause = fmt.Errorf("%w; logs are in %s", cause, kept)
	}
	if err := remove(r.dir); err != nil {
		return fmt.Errorf("%w; and taking down: %w", cause, err)
	}
	return cause
}

// keep copies what tells why, in place of what an earlier failure left.
func (r *rise) keep(to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	names := []string{rackLog, rack.EventsFile, rack.ProvisionLog, rack.RecordingFile}
	for _, m := range r.machines {
		names = append(names, filepath.Join("machines", m.Name, vm.ConsoleLog), filepath.Join("machines", m.Name, vm.EventsLog))
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, copyFile(filepath.Join(to, name), filepath.Join(r.dir, name)))
	}
	return errors.Join(errs...)
}

// copyFile copies a file if it is there.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
