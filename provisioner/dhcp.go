package provisioner

import (
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/provisioner/policy"
	"github.com/ingot-os/ingot/provisioner/wire"
)

// leaseTime is long: addresses never change hands.
const leaseTime = 24 * time.Hour

func (p *provisioner) policySite() policy.Site {
	return policy.Site{
		Address: p.config.Address, Gateway: p.config.Gateway,
		Lease: leaseTime, DenyUnknown: p.config.Known,
	}
}

// lookup finds the record of who asks, and lists a stranger that is going to
// get an answer.
func (p *provisioner) lookup(f wire.Facts) policy.Machine {
	m, known, ok := p.machines.Lookup(f.MAC, p.listed(f))
	if !ok {
		return policy.Machine{Name: f.MAC}
	}
	a, err := netip.ParseAddr(m.Address)
	if err != nil {
		p.log.Error("address in the list of machines", "machine", m.Name, "error", err)
	}
	return policy.Machine{Name: m.Name, Known: known, Address: a}
}

// listed tells whether a stranger that says this is put on the list.
func (p *provisioner) listed(f wire.Facts) bool {
	asks := f.Type == dhcpv4.MessageTypeDiscover || f.Type == dhcpv4.MessageTypeRequest
	elsewhere := f.ServerID.IsValid() && f.ServerID != p.config.Address.Addr()
	denied := p.config.Known && f.Client == wire.Plain
	return asks && !elsewhere && !denied
}

// note tells the inventory and the log what a request came to.
func (p *provisioner) note(f wire.Facts, m policy.Machine, a policy.Answer) {
	p.log.Info("dhcp", "machine", m.Name, "mac", f.MAC, "asks", f.Type, "client", f.Client, "class", f.Class,
		"answer", a.Reply.Type, "address", m.Address, "stage", a.Stage)
	err := p.noteState(f, a)
	if err == nil && a.Event != "" {
		p.log.Warn("dhcp", "machine", m.Name, "mac", f.MAC, "problem", a.Event)
		err = p.machines.Trouble(f.MAC, a.Event)
	}
	if err != nil {
		p.log.Error("note DHCP request", "machine", m.Name, "error", err)
	}
}

func (p *provisioner) noteState(f wire.Facts, a policy.Answer) error {
	switch {
	case f.Type == dhcpv4.MessageTypeDiscover && f.Client != wire.Plain:
		return p.machines.Booting(f.MAC, a.Firmware(f))
	case a.To != policy.Nowhere:
		return p.machines.Asked(f.MAC)
	}
	return nil
}
