package cli

import (
	"context"
	"flag"

	"github.com/ingot-os/ingot/provisioner"
	"github.com/ingot-os/ingot/services/registry"
)

func provisionerServe(fs *flag.FlagSet) action {
	config := fs.String("config", "", "configuration `FILE` (needed)")
	return func(ctx context.Context, _ *call) error {
		if *config == "" {
			return usagef("provisioner serve needs --config FILE")
		}
		return provisioner.Main(ctx, *config, registry.Handler)
	}
}
