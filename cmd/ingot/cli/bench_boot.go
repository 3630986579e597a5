package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ingot-os/ingot/qemu-tests/rack"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// alone is a rack of one machine.
func alone(f vm.Firmware) ([]rack.Machine, error) { return rack.ParseRack("m1:master:" + string(f)) }

// boot makes a site and a rack of one machine, follows it to its init and takes
// all of it away again. The logs of a machine that does not boot are kept.
func (b *bench) boot(ctx context.Context, f vm.Firmware) (m *course, err error) {
	machines, err := alone(f)
	if err != nil {
		return nil, err
	}
	r := &rise{c: b.c, dir: b.dir, image: b.image, machines: machines, board: b.board}
	defer func() { err = errors.Join(err, remove(b.dir)) }()
	plan, err := r.plan()
	if err != nil {
		return nil, err
	}
	plan.Seed = b.seed
	up, err := rack.Up(ctx, plan)
	if err != nil {
		return nil, err
	}
	m, err = b.follow(ctx, up, machines[0])
	err = errors.Join(err, up.Close())
	if err != nil && ctx.Err() == nil {
		kept := filepath.Join(filepath.Dir(b.dir), "failed", "bench", string(f))
		err = errors.Join(fmt.Errorf("%w; logs are in %s", err, nearby(kept)), r.keep(kept))
	}
	return m, err
}

// follow waits for a machine's init.
func (b *bench) follow(ctx context.Context, up *rack.Rack, machine rack.Machine) (*course, error) {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	m := &course{machine: machine, targets: map[string]int64{}}
	for e := range up.Events(ctx) {
		stage, detail := m.note(e)
		switch {
		case e.Kind == rack.KindProblem:
			return nil, errors.New(e.Text)
		case m.off:
			return nil, fmt.Errorf("it went off before init ran: %s", e.Text)
		case !m.init.IsZero():
			return m, nil
		case stage != "":
			b.board.set(string(machine.Firmware), stage, detail)
		}
	}
	return nil, fmt.Errorf("no init after %s (%s loaded)", b.patience, mib(m.bytes))
}
