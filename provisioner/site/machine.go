package site

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"

	"github.com/ingot-os/ingot/api"
)

// Machine is one that the site expects: what the inventory starts from and what
// a one-time token is bound to.
type Machine struct {
	Name    string     `json:"name"`
	MAC     string     `json:"mac"`
	Roles   []api.Role `json:"roles"`
	Address netip.Addr `json:"address"`
}

// nameForm is a DNS label (RFC 1123 section 2.1): names go into certificates.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate checks one machine by itself.
func (m Machine) Validate() error {
	if !nameForm.MatchString(m.Name) {
		return fmt.Errorf("machine %q: name is not lower-case letters, digits and dashes", m.Name)
	}
	if hw, err := net.ParseMAC(m.MAC); err != nil || len(hw) != 6 || hw.String() != m.MAC {
		return fmt.Errorf("machine %q: MAC address %q is not of the form 52:54:00:aa:bb:cc", m.Name, m.MAC)
	}
	if !m.Address.Is4() {
		return fmt.Errorf("machine %q: address %q is not an IPv4 address", m.Name, m.Address)
	}
	if len(m.Roles) == 0 {
		return fmt.Errorf("machine %q: no role: give it one of master, agent, public-agent", m.Name)
	}
	for _, r := range m.Roles {
		if _, err := api.ParseRoles(string(r)); err != nil {
			return fmt.Errorf("machine %q: %w", m.Name, err)
		}
	}
	return nil
}

// ValidateAll checks machines together: names, MAC and IP addresses are used once.
func ValidateAll(all []Machine) error {
	used := map[string]string{}
	var errs []error
	for _, m := range all {
		errs = append(errs, m.Validate())
		for _, v := range []string{"name " + m.Name, "MAC address " + m.MAC, "address " + m.Address.String()} {
			if other, taken := used[v]; taken {
				errs = append(errs, fmt.Errorf("machine %q: %s is already that of %q", m.Name, v, other))
			}
			used[v] = m.Name
		}
	}
	return errors.Join(errs...)
}
