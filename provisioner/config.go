package provisioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/ingot-os/ingot/provisioner/forward"
	"github.com/ingot-os/ingot/provisioner/inventory"
	"github.com/ingot-os/ingot/provisioner/site"
)

// Config is the provisioner's configuration, one JSON document. An unknown key
// is an error.
type Config struct {
	Interface string            `json:"interface"`            // that machines are behind
	Address   netip.Prefix      `json:"address"`              // own address and network, 10.77.0.1/24
	Gateway   netip.Addr        `json:"gateway,omitzero"`     // offered to machines; none by default
	Site      string            `json:"site"`                 // folder made by site.Create
	Image     string            `json:"image"`                // folder made by ingot image build
	Images    string            `json:"images,omitempty"`     // folder of OCI layout tars; empty: no registry
	Control   string            `json:"control"`              // path of the unix socket
	Machines  []site.Machine    `json:"machines"`             // that are announced
	PoolFirst netip.Addr        `json:"pool_first,omitzero"`  // addresses for other machines;
	PoolLast  netip.Addr        `json:"pool_last,omitzero"`   // by default .200 to .250 of a /24
	Known     bool              `json:"known_only,omitempty"` // lease to announced machines and to booting firmware only
	Forwards  []forward.Forward `json:"forwards,omitempty"`   // TCP into this network namespace
}

// Read reads and checks a configuration file.
func Read(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var c Config
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("read configuration %s: near byte %d: %w", path, d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read configuration %s: more than one document", path)
	}
	c.defaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return &c, nil
}

// defaults fills in the pool: .200 to .250 where the network has them.
func (c *Config) defaults() {
	if c.PoolFirst.IsValid() || c.PoolLast.IsValid() || !c.Address.IsValid() || !c.Address.Addr().Is4() || c.Address.Bits() > 24 {
		return
	}
	b := c.Address.Masked().Addr().As4()
	b[3] = 200
	c.PoolFirst = netip.AddrFrom4(b)
	b[3] = 250
	c.PoolLast = netip.AddrFrom4(b)
}

func (c *Config) pool() inventory.Pool {
	return inventory.Pool{First: c.PoolFirst, Last: c.PoolLast}
}

func (c *Config) validate() error {
	var errs []error
	bad := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Interface == "", "interface: missing")
	bad(!c.Address.IsValid() || !c.Address.Addr().Is4(), "address: needs the form 10.77.0.1/24")
	bad(c.Site == "", "site: missing")
	bad(c.Image == "", "image: missing")
	bad(c.Control == "", "control: missing")
	bad(c.PoolFirst.IsValid() != c.PoolLast.IsValid(), "pool_first, pool_last: give both or none")
	for name, a := range map[string]netip.Addr{"gateway": c.Gateway, "pool_first": c.PoolFirst, "pool_last": c.PoolLast} {
		bad(a.IsValid() && !c.Address.Contains(a), "%s: %s is not in %s", name, a, c.Address.Masked())
	}
	errs = append(errs, site.ValidateAll(c.Machines))
	for _, m := range c.Machines {
		bad(m.Address.IsValid() && !c.Address.Contains(m.Address), "machine %q: address %s is not in %s", m.Name, m.Address, c.Address.Masked())
		bad(m.Address == c.Address.Addr(), "machine %q: address %s is the provisioner's", m.Name, m.Address)
	}
	for _, f := range c.Forwards {
		errs = append(errs, f.Validate())
	}
	return errors.Join(errs...)
}
