package containerd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// config is what differs between nodes and tests; the rest is decided here.
type config struct {
	Root  string // persistent
	State string // gone after a reboot
	Level string // of the log
}

// disabled lists the plugins that an appliance without CRI has no use for.
// Each one costs memory, a socket, or a warning at every start.
var disabled = []string{
	"io.containerd.differ.v1.erofs",
	"io.containerd.grpc.v1.sandbox-controllers",
	"io.containerd.grpc.v1.sandboxes",
	"io.containerd.image-verifier.v1.bindir",
	"io.containerd.internal.v1.opt",
	"io.containerd.internal.v1.tracing",
	"io.containerd.metrics.v1.grpc-otel",
	"io.containerd.metrics.v1.grpc-prometheus",
	"io.containerd.monitor.container.v1.restart",
	"io.containerd.monitor.task.v1.cgroups",
	"io.containerd.mount-handler.v1.erofs",
	"io.containerd.nri.v1.nri",
	"io.containerd.server.v1.debug",
	"io.containerd.server.v1.grpc-tcp",
	"io.containerd.server.v1.metrics",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.snapshotter.v1.native",
	"io.containerd.tracing.processor.v1.otlp",
}

func (c config) validate() error {
	for _, p := range []string{c.Root, c.State} {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("containerd's folder %q is not an absolute path", p)
		}
	}
	if len(c.State) > maxSocketDir {
		return fmt.Errorf("containerd's state folder %q is longer than %d characters: shims' sockets would not fit a unix socket's path", c.State, maxSocketDir)
	}
	levels := []string{"trace", "debug", "info", "warn", "error"}
	if !slices.Contains(levels, c.Level) {
		return fmt.Errorf("log level %q is not one of %v", c.Level, levels)
	}
	return nil
}

// toml renders containerd's configuration, version 4 (servers are plugins).
func (c config) toml() string {
	socket := filepath.Join(c.State, Socket)
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("version = 4")
	p("root = %q", c.Root)
	p("state = %q", c.State)
	p("disabled_plugins = [")
	for _, d := range disabled {
		p("  %q,", d)
	}
	p("]")
	p("required_plugins = [%q]", "io.containerd.snapshotter.v1.overlayfs")
	p("[debug]")
	p("  level = %q", c.Level)
	p("[plugins.%q]", "io.containerd.server.v1.grpc")
	p("  address = %q", socket)
	p("  uid = 0\n  gid = 0")
	p("[plugins.%q]", "io.containerd.server.v1.ttrpc")
	p("  address = %q", socket+".ttrpc")
	p("  uid = 0\n  gid = 0")
	p("[plugins.%q]", "io.containerd.shim.v1.manager")
	p("  socket_dir = %q", filepath.Join(c.State, "s"))
	return b.String()
}
