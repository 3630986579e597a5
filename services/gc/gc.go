// Package gc frees what an agent's tasks have left behind, in one run started
// by a timer.
//
// It owns the decision what is old: sandboxes of ended tasks after an hour, and
// of the younger ones all but the newest keepSandboxes; images that no desired
// instance names, only while the data file system is more than 80 % full; task
// logs above maxLog; networks without a container. It refuses to touch what is
// desired or runs. There are no goroutines.
package gc

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
)

// What is kept.
const (
	keepFor       = time.Hour
	keepSandboxes = 50
	fullPercent   = 80
	maxLog        = 10 << 20
	keepLog       = 1 << 20
)

// Engine is what holds containers and images.
type Engine interface {
	List(ctx context.Context) ([]api.AllocStatus, error)
	Images(ctx context.Context) ([]string, error)
	RemoveImage(ctx context.Context, ref string) error
	// Sweep takes away networks without a container and counts them.
	Sweep(ctx context.Context) (int, error)
	Close() error
}

// Open makes the engine; name turns an instance's image into its full name.
type Open func(data string, id *identity.Source) (e Engine, name func(image string) (string, error), err error)

// freed is what one run came to.
type freed struct {
	sandboxes, images, networks, logs int
}

// Run is the component: one pass, one line.
func Run(ctx context.Context, args []string, open Open) error {
	f := flag.NewFlagSet("gc", flag.ContinueOnError)
	dir := f.String("identity", identity.NodeDir, "folder of the node's certificate and node.json")
	data := f.String("data", "/var/lib/ingot/agent", "the agent's folder")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	e, name, err := open(*data, &identity.Source{Dir: *dir})
	if err != nil {
		return err
	}
	defer e.Close()
	done, err := collect(ctx, *data, e, name, time.Now())
	fmt.Fprintf(os.Stderr, "<6>freed %d sandboxes, %d images, %d networks; cut %d logs\n",
		done.sandboxes, done.images, done.networks, done.logs)
	return err
}

// collect goes through all kinds; one that fails does not keep the others.
func collect(ctx context.Context, data string, e Engine, name func(string) (string, error), now time.Time) (freed, error) {
	var done freed
	want, err := desired(data)
	if err != nil {
		return done, err // without it nothing is known to be unused
	}
	running, err := e.List(ctx)
	if err != nil {
		return done, err
	}
	keep := map[string]bool{}
	for _, a := range want.Allocs {
		keep[a.ID] = true
	}
	for _, st := range running {
		keep[st.ID] = true
	}
	var errs [4]error
	done.sandboxes, errs[0] = sandboxes(filepath.Join(data, "tasks"), keep, now)
	done.logs, errs[1] = logs(filepath.Join(data, "tasks"))
	done.networks, errs[2] = e.Sweep(ctx)
	done.images, errs[3] = pressed(ctx, data, e, want, name)
	return done, errors.Join(errs[:]...)
}

func desired(data string) (api.AllocSet, error) {
	var set api.AllocSet
	b, err := os.ReadFile(filepath.Join(data, "allocs.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &set)
	}
	if err != nil {
		return set, fmt.Errorf("read desired state: %w", err)
	}
	return set, nil
}

// pressed removes unused images while space is short.
func pressed(ctx context.Context, data string, e Engine, want api.AllocSet, name func(string) (string, error)) (int, error) {
	full, err := full(data)
	if err != nil || full <= fullPercent {
		return 0, err
	}
	have, err := e.Images(ctx)
	if err != nil {
		return 0, err
	}
	var n int
	for _, ref := range unused(have, want, name) {
		if err := e.RemoveImage(ctx, ref); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// unused are the images that no desired instance names.
func unused(have []string, want api.AllocSet, name func(string) (string, error)) []string {
	used := map[string]bool{}
	for _, a := range want.Allocs {
		if ref, err := name(a.Image); err == nil {
			used[ref] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(have), func(ref string) bool { return used[ref] })
}

// full is how much of the file system is taken, in percent.
func full(path string) (int, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("look how full %s is: %w", path, err)
	}
	if st.Blocks == 0 {
		return 0, nil
	}
	return int(100 - st.Bavail*100/st.Blocks), nil
}
