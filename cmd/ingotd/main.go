// Ingotd is every light component of the platform under its own name, each run
// as a process, user and unit of its own: ingotd NAME [flags].
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ingot-os/ingot/services/agent"
	"github.com/ingot-os/ingot/services/ca"
	"github.com/ingot-os/ingot/services/gc"
	"github.com/ingot-os/ingot/services/logs"
	"github.com/ingot-os/ingot/services/router"
	"github.com/ingot-os/ingot/services/scheduler"
)

// component runs until ctx ends; args are those after its name.
type component func(ctx context.Context, args []string) error

var components = map[string]component{
	"agent":     func(ctx context.Context, args []string) error { return agent.Run(ctx, args, openAgent) },
	"gc":        func(ctx context.Context, args []string) error { return gc.Run(ctx, args, openGC) },
	"logs":      logs.Run,
	"ca":        ca.Run,
	"router":    router.Main,
	"scheduler": scheduler.Run,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) < 2 || components[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: ingotd NAME [flags]; the names are those of the units in units/shipped")
		os.Exit(2)
	}
	if err := components[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "<3>%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
