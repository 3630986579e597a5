// Ingot-engine is the heavy components, store (etcd) and containerd, each run
// as a process, user and unit of its own: ingot-engine NAME [flags].
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ingot-os/ingot/services/containerd"
	"github.com/ingot-os/ingot/services/store"
)

// component runs until ctx ends; args are those after its name.
type component func(ctx context.Context, args []string) error

var components = map[string]component{
	"containerd": containerd.Run,
	"store":      store.Run,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) < 2 || components[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: ingot-engine NAME [flags]; the names are those of the units in units/shipped")
		os.Exit(2)
	}
	if err := components[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "<3>%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
