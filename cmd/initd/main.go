// Initd is PID 1 of a node, its supervisor, and the small programs of its start,
// told apart by pid and first argument. In the initramfs it is stage one.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ingot-os/ingot/boot/stageone"
	"github.com/ingot-os/ingot/initd/pid1"
	"github.com/ingot-os/ingot/initd/process"
)

func main() {
	switch {
	case stageone.Needed():
		stageone.Run()
	case os.Getpid() == 1:
		pid1.Run()
	case len(os.Args) > 1 && os.Args[1] == "exec":
		fail("exec", process.Shim(os.Args[2:]))
	}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: initd VERB; the kernel and the units of units/shipped call it, a person calls ingot")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := verbs[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fail(os.Args[1], err)
	}
}

func fail(verb string, err error) {
	fmt.Fprintf(os.Stderr, "<3>initd %s: %v\n", verb, err)
	os.Exit(1)
}
