package cli

import (
	"context"
	"flag"
	"fmt"
	"slices"

	"github.com/ingot-os/ingot/qemu-tests/rack"
)

func nodePower(fs *flag.FlagSet) action {
	what := fs.String("action", "", "`cut` or on (needed)")
	return func(ctx context.Context, c *call) error {
		if *what != "cut" && *what != "on" {
			return usagef("node power needs --action cut or --action on, as in: ingot node power a1 --action cut")
		}
		dir, err := c.rackDir()
		if err != nil {
			return err
		}
		if names := c.machineNames(); !slices.Contains(names, c.args[0]) {
			return none("machine", c.args[0], names)
		}
		k := rack.Dial(dir)
		defer k.Close()
		if err := k.Power(ctx, c.args[0], *what); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "power of %s: %s\n", c.args[0], *what)
		return nil
	}
}
