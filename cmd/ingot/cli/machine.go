package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

// provisionerSocket is where the rack's provisioner answers, beside the site.
const provisionerSocket = "provisioner.sock"

// machines returns the calls of the rack's provisioner.
func (c *call) machines() (*client.Machines, error) {
	dir, err := c.rackDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, provisionerSocket)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no provisioner runs for this site: %s is not there", path)
	}
	return client.NewMachines(client.Unix(nearby(path))), nil
}

// machineNames lists the machines of the rack on this machine.
func (c *call) machineNames() []string {
	dir, err := c.rackDir()
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "machines"))
	if err != nil {
		return nil // no rack here
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func machineLs(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		m, err := c.machines()
		if err != nil {
			return err
		}
		all, err := m.List(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, x := range all {
			rows = append(rows, []string{
				name(x), string(x.State), roles(x.Roles), x.MAC, x.Address, x.Firmware, mib(x.Bytes), ago(x.Since), x.Reason,
			})
		}
		return c.show(list(all), "NAME STATE ROLES MAC ADDRESS FIRMWARE SENT SINCE REASON", rows)
	}
}

func name(m api.Machine) string {
	if m.Name != "" {
		return m.Name
	}
	return m.MAC
}
