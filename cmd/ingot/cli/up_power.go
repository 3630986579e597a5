package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// power starts the rack's daemon, which outlives this process, and waits until
// it answers: the machines are on by then.
func (r *rise) power(ctx context.Context) error {
	defer r.spent.during(phasePower)()
	r.board.set("rack", "starting switch, provisioner and machines", "")
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log, err := os.Create(filepath.Join(r.dir, rackLog))
	if err != nil {
		return fmt.Errorf("start the rack: %w", err)
	}
	defer log.Close() // the daemon has its own
	daemon := exec.Command(self, "rack", "run", "--dir", r.dir)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C here is not for it
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("start the rack: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }() // ends with the daemon, at the latest with this process
	err = r.answer(ctx, ended)
	if err != nil && ctx.Err() != nil {
		_ = daemon.Process.Signal(syscall.SIGTERM) // it takes down what it has made so far
		select {
		case <-ended:
		case <-time.After(20 * time.Second): // undo insists
		}
	}
	return err
}

// answer waits until the daemon answers or has ended.
func (r *rise) answer(ctx context.Context, ended <-chan error) error {
	k := rack.Dial(r.dir)
	defer k.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := k.Status(ctx); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("start the rack: %s", r.lastWords(err))
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// lastWords is the last line that the daemon logged.
func (r *rise) lastWords(ended error) string {
	b, err := os.ReadFile(filepath.Join(r.dir, rackLog))
	b = bytes.TrimSpace(b)
	if err != nil || len(b) == 0 {
		return errors.Join(errors.New("it ended without a word"), ended).Error()
	}
	line := b[bytes.LastIndexByte(b, '\n')+1:]
	return string(bytes.TrimPrefix(line, []byte("ingot: ")))
}
