package main

import (
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/services/agent"
	"github.com/ingot-os/ingot/services/gc"
	"github.com/ingot-os/ingot/services/runtime"
)

// openAgent gives the agent its runtime.
func openAgent(data string, id *identity.Source) (agent.Runtime, error) {
	return runtime.Open(runtime.DefaultConfig(data, id))
}

// openGC gives the garbage collector the same runtime.
func openGC(data string, id *identity.Source) (gc.Engine, func(string) (string, error), error) {
	r, err := runtime.Open(runtime.DefaultConfig(data, id))
	return r, runtime.Reference, err
}
