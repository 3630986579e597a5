// Package containerd runs containerd's own server inside ingot-engine, with a
// configuration that this package generates and no other.
//
// It owns the configuration: one unix socket for root, no TCP, no metrics, no
// CRI, no NRI, shims' sockets beside containerd's own state. It refuses to know
// what runs in containers; that is the runtime's part.
//
// Containers outlive this process: shims live in a cgroup of their own, so the
// unit needs KillMode=process and nothing else. containerd itself tells init
// READY=1 once its socket answers.
package containerd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins" // containerd's plugins register themselves
	"github.com/containerd/containerd/v2/cmd/containerd/command"
)

// Socket is the name of the server's socket inside its state folder.
const Socket = "containerd.sock"

// maxSocketDir leaves room for "/s/" and the 64 characters of a shim's socket
// in the 107 that a unix socket's path may have (unix(7)).
const maxSocketDir = 40

// shimPath is where the server looks for its shim and the shim for runc.
const shimPath = "/bin:/sbin:/usr/bin:/usr/sbin"

// Run serves until ctx ends or a signal asks for the end.
func Run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	limitMemory()
	file, err := c.write()
	if err != nil {
		return err
	}
	if err := setPath(); err != nil {
		return err
	}
	err = command.App().Run(ctx, []string{"containerd", "--config", file})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run containerd in %s: %w", c.Root, err)
	}
	return nil
}

func parse(args []string) (config, error) {
	var c config
	f := flag.NewFlagSet("containerd", flag.ContinueOnError)
	f.StringVar(&c.Root, "data", "/var/lib/ingot/containerd", "images, snapshots and metadata")
	f.StringVar(&c.State, "state", "/run/ingot/containerd", "socket and running containers' bundles")
	f.StringVar(&c.Level, "log-level", "warn", "trace, debug, info, warn or error")
	if err := f.Parse(args); err != nil {
		return c, fmt.Errorf("read flags: %w", err)
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("read flags: %q is not a flag", f.Arg(0))
	}
	return c, c.validate()
}

// limitMemory keeps the heap small: the server idles nearly always, and a node
// has better use for its memory. GOGC and GOMEMLIMIT win where they are set.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(96 << 20)
	}
}

// setPath makes the shim findable without an environment from outside; what a
// caller set comes first.
func setPath() error {
	path := shimPath
	if p := os.Getenv("PATH"); p != "" {
		path = p + ":" + shimPath
	}
	if err := os.Setenv("PATH", path); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	return nil
}

// write puts the configuration into the state folder.
func (c config) write() (string, error) {
	for _, d := range []string{c.Root, c.State} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return "", fmt.Errorf("make containerd's folder: %w", err)
		}
	}
	file := filepath.Join(c.State, "config.toml")
	if err := os.WriteFile(file, []byte(c.toml()), 0o600); err != nil {
		return "", fmt.Errorf("write containerd's configuration: %w", err)
	}
	return file, nil
}
