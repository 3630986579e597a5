package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// What `ingot up` keeps in the rack's folder beside the rack's own files.
const (
	tokenName         = "token" // in the site's folder: the operator's, as text
	provisionerConfig = "provisioner.json"
	rackConfig        = "rack-config.json"
	rackLog           = "rack.log"
	upLock            = "up.lock"
)

// rackRun is the daemon: it owns the rack until it is told to end.
func rackRun(fs *flag.FlagSet) action {
	dir := fs.String("dir", defaultRack, "where the rack lives, `DIR`")
	return func(ctx context.Context, _ *call) error {
		path := filepath.Join(*dir, rackConfig)
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the rack's configuration: %w", err)
		}
		var c rack.Config
		if err := json.Unmarshal(b, &c); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if err := os.Remove(path); err != nil { // it holds the tokens
			return fmt.Errorf("remove the rack's configuration: %w", err)
		}
		r, err := rack.Up(ctx, c)
		if err != nil {
			return err
		}
		return errors.Join(r.Serve(ctx), r.Close())
	}
}

// lockRack keeps two `ingot up` or `ingot rack bench` in one folder apart; the kernel unlocks when
// the process ends.
func lockRack(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the rack's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, upLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the rack's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another ingot is at work in %s", dir)
	}
	return func() {
		_ = os.Remove(f.Name())
		f.Close()
		_ = os.Remove(dir) // when nothing else is in it
	}, nil
}

// remove takes down whatever is in a rack's folder: processes and namespace by
// the rack's own records, then its files and ours. Nothing there is fine.
func remove(dir string) error {
	if err := rack.Down(dir); err != nil {
		return err
	}
	var errs []error
	for _, name := range []string{provisionerConfig, provisionerSocket, rackConfig, rackLog} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, os.RemoveAll(filepath.Join(dir, "site")))
	return errors.Join(errs...)
}
