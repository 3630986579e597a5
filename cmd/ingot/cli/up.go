package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/api/client"
	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// Where things are, seen from the repository.
const (
	defaultImage   = "build/image"
	defaultApp     = "examples/hello.json"
	defaultMembers = "m1:master a1:agent a2:agent"
	defaultDoor    = "127.0.0.1:8443"
)

var defaultRack = filepath.Join("build", "rack")

// rise is one `ingot up`.
type rise struct {
	c        *call
	dir      string // absolute, of the rack
	image    string
	machines []rack.Machine
	door     string // where the host offers the router of the rack
	app      definition
	patience time.Duration
	board    *board
	spent    *spent
	cluster  *client.Cluster
	base     string // URL of the router
	courses  map[string]*course
	made     bool // something is there that a failure must take down
	was      bool // up already: what it took then is not known now
}

func up(fs *flag.FlagSet) action {
	members := fs.String("rack", defaultMembers, "`MACHINES`, as in 'm1:master a1:agent:uefi p1:public-agent:mem=512'")
	dir := fs.String("dir", defaultRack, "where the rack lives, `DIR`")
	image := fs.String("image", defaultImage, "where the image is built, `DIR`")
	door := fs.String("listen", defaultDoor, "offer the router at `HOST:PORT` of this machine")
	app := fs.String("app", defaultApp, "Marathon definition `FILE` of the app to serve")
	patience := fs.Duration("patience", 8*time.Minute, "give up when the machines or the app need longer")
	return func(ctx context.Context, c *call) error {
		r := &rise{c: c, image: *image, door: *door, patience: *patience, board: newBoard(c.stderr), spent: newSpent()}
		defer r.board.close()
		var err error
		if r.machines, err = rack.ParseRack(*members); err != nil {
			return usagef("%v", err)
		}
		if r.dir, err = filepath.Abs(*dir); err != nil {
			return fmt.Errorf("find the rack's folder: %w", err)
		}
		if r.app, err = readDefinition(*app); err != nil {
			return err
		}
		return r.run(ctx)
	}
}

// run goes through the phases; what fails takes the rack down again.
func (r *rise) run(ctx context.Context) error {
	unlock, err := lockRack(r.dir)
	if err != nil {
		return err
	}
	defer unlock()
	is, err := r.already(ctx)
	if err != nil || is {
		return err
	}
	err = r.phases(ctx)
	if err == nil {
		return nil
	}
	r.board.close()
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if !r.made {
		return err
	}
	return r.undo(err)
}

func (r *rise) phases(ctx context.Context) error {
	for _, p := range []struct {
		name string // on the board
		do   func(context.Context) error
	}{
		{"check", r.check},
		{"image", r.build},
		{"site", r.found},
		{"rack", r.power},
		{"machines", r.boot},
		{"app", r.serve},
	} {
		r.board.phase(p.name)
		if err := p.do(ctx); err != nil {
			return err
		}
	}
	r.board.close()
	return r.report(ctx)
}

// already tells whether a rack is up here, and shows it if it is in order.
func (r *rise) already(ctx context.Context) (bool, error) {
	s, err := rack.Load(r.dir)
	switch {
	case errors.Is(err, rack.ErrNoRack) || err == nil && !s.Running:
		// Nothing, or what a killed daemon has left.
		return false, remove(r.dir)
	case err != nil:
		return false, err
	}
	if have, want := memberNames(s.Machines), memberNames(r.machines); have != want {
		return false, fmt.Errorf("another rack is up in %s (%s): ingot down ends it", r.dir, have)
	}
	r.was = true
	r.board.phase("rack")
	r.board.set("rack", "is up already", "")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := r.boot(ctx); err != nil {
		return false, fmt.Errorf("a rack is up in %s, but not in order: %w: see ingot status, or start over with ingot down", r.dir, err)
	}
	if err := r.serve(ctx); err != nil {
		return false, fmt.Errorf("a rack is up in %s, but does not serve %s: %w: see ingot status", r.dir, r.app.ID, err)
	}
	r.board.close()
	return true, r.report(ctx)
}

// check says what this machine lacks, before anything is made.
func (r *rise) check(context.Context) error {
	defer r.spent.during(phaseCheck)()
	r.board.set("check", "looking at this machine", "")
	return rack.Preflight(rack.Config{Dir: r.dir, Machines: r.machines, Forward: r.door})
}

func memberNames(all []rack.Machine) string {
	s := ""
	for i, m := range all {
		if i > 0 {
			s += " "
		}
		s += m.Name + ":" + roles(m.Roles)
	}
	return s
}
