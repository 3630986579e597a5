// Ingot is for people: it builds images, runs a virtual rack and speaks to
// sites. Everything it can do is in the table of verbs of package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ingot-os/ingot/cmd/ingot/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
