package main

import (
	"context"

	"github.com/ingot-os/ingot/initd/clock"
	"github.com/ingot-os/ingot/initd/enrol"
	"github.com/ingot-os/ingot/initd/modules"
	"github.com/ingot-os/ingot/initd/network"
	"github.com/ingot-os/ingot/initd/nodeapi"
	"github.com/ingot-os/ingot/initd/supervisor"
)

// verb runs until ctx ends; args are those after its name.
type verb func(ctx context.Context, args []string) error

var verbs = map[string]verb{
	"supervise":    supervisor.Run,
	"load-modules": modules.Run,
	"network":      network.Run,
	"clock":        clock.Run,
	"enrol":        enrol.Run,
	"renew":        enrol.Renew,
	"api":          nodeapi.Run,
}
