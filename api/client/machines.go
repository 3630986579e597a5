package client

import (
	"context"
	"net/http"

	"github.com/ingot-os/ingot/api"
)

// Machines calls a provisioner.
type Machines struct{ c *Client }

// NewMachines returns the calls of the provisioner that c leads to.
func NewMachines(c *Client) *Machines { return &Machines{c} }

// List returns the site's machines.
func (m *Machines) List(ctx context.Context) ([]api.Machine, error) {
	var list []api.Machine
	err := m.c.Do(ctx, http.MethodGet, "/v1/machines", nil, &list)
	return list, err
}

// Watch calls each on every change of a machine until ctx ends or each fails.
func (m *Machines) Watch(ctx context.Context, each func(api.Machine) error) error {
	return lines(ctx, m.c, "/v1/events", each)
}
