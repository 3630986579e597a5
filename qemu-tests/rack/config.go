package rack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// The rack's network: the provisioner is .1, machines count from .11 on.
var (
	Network     = netip.MustParsePrefix("10.77.0.0/24")
	Provisioner = netip.MustParseAddr("10.77.0.1")
)

const (
	firstHost   = 11
	maxMachines = 64
)

// Machine is one machine of a rack.
type Machine struct {
	Name     string      `json:"name"`
	Roles    []api.Role  `json:"roles,omitempty"` // none: a stranger to the site
	Firmware vm.Firmware `json:"firmware"`
	MAC      string      `json:"mac"`
	Address  netip.Addr  `json:"address"`
	UUID     string      `json:"uuid"`
	MemoryMB int         `json:"memory_mb"`
	RTC      string      `json:"rtc,omitempty"`      // clock at power-on, as 1970-01-01
	NoToken  bool        `json:"no_token,omitempty"` // powered on without a token
}

// Config is a rack before it is powered on.
type Config struct {
	Dir      string    // state: created, and kept by one rack at a time
	Machines []Machine // from ParseRack
	// Tokens holds, by machine, the OEM string that its one-time token travels
	// in; api.TokenPrefix may be left out.
	Tokens map[string]string
	// Forward is the host's address that leads to the master's router;
	// empty: none.
	Forward string
	// Program with Args is the provisioner, run in the namespace with ForwardFD
	// open for accepting when Forward is set. ProvisionerSocket is where it
	// answers GET /v1/machines and /v1/events.
	Program           string
	Args              []string
	ProvisionerSocket string
	// Record writes the wire's headers to wire.pcap from the start.
	Record bool
	Seed   uint64 // of the wire's losses
}

// ForwardFD is the file descriptor on which the provisioner inherits the
// listening socket made outside its namespace. LISTEN_FDS=1 announces it
// (sd_listen_fds(3); LISTEN_PID is left out, as the pid is not known before).
const ForwardFD = 3

// nameForm is a DNS label (RFC 1123, 2.1): names go into certificates.
var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ParseRack reads "m1:master a1:agent a2:agent": machines apart by blanks, each
// NAME:ROLES[:OPTION…]. Roles join by "+"; ROLES "none" is a stranger to the
// site. Options: bios, uefi, mem=MB, rtc=DATE, token=none. Without a firmware
// the first agent is UEFI and the others are BIOS.
func ParseRack(s string) ([]Machine, error) {
	var all []Machine
	for _, word := range strings.Fields(s) {
		m, err := parseMachine(word)
		if err != nil {
			return nil, fmt.Errorf("rack: %w", err)
		}
		all = append(all, m)
	}
	if err := checkMachines(all); err != nil {
		return nil, fmt.Errorf("rack: %w", err)
	}
	chooseFirmware(all)
	for i := range all {
		all[i].place(i)
	}
	return all, nil
}

func parseMachine(word string) (Machine, error) {
	parts := strings.Split(word, ":")
	if len(parts) < 2 {
		return Machine{}, fmt.Errorf("%q: want NAME:ROLE, as in a1:agent", word)
	}
	m := Machine{Name: parts[0], MemoryMB: vm.DefaultMemoryMB}
	if !nameForm.MatchString(m.Name) {
		return m, fmt.Errorf("%q: a name is lower-case letters, digits and dashes, 63 at most", m.Name)
	}
	if parts[1] == "none" {
		m.NoToken = true
	} else {
		roles, err := api.ParseRoles(parts[1])
		if err != nil {
			return m, fmt.Errorf("machine %s: %w", m.Name, err)
		}
		m.Roles = roles
	}
	for _, o := range parts[2:] {
		if err := m.option(o); err != nil {
			return m, fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	return m, nil
}

func (m *Machine) option(o string) error {
	key, value, _ := strings.Cut(o, "=")
	switch {
	case o == string(vm.BIOS), o == string(vm.UEFI):
		m.Firmware = vm.Firmware(o)
	case key == "mem":
		n, err := strconv.Atoi(value)
		if err != nil || n < 64 || n > 65536 {
			return fmt.Errorf("mem=%s: want MB, 64 to 65536", value)
		}
		m.MemoryMB = n
	case key == "rtc" && value != "":
		m.RTC = value
	case o == "token=none":
		m.NoToken = true
	default:
		return fmt.Errorf("option %q is not bios, uefi, mem=MB, rtc=DATE or token=none", o)
	}
	return nil
}

func checkMachines(all []Machine) error {
	if len(all) == 0 {
		return errors.New("no machine in it: name some, as in \"m1:master a1:agent\"")
	}
	if len(all) > maxMachines {
		return fmt.Errorf("%d machines, at most %d are possible", len(all), maxMachines)
	}
	var masters []string
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.Name] {
			return fmt.Errorf("machine %s is there twice", m.Name)
		}
		seen[m.Name] = true
		if slices.Contains(m.Roles, api.RoleMaster) {
			masters = append(masters, m.Name)
		}
	}
	if len(masters) != 1 {
		return fmt.Errorf("%d masters (%s), this release runs exactly one", len(masters), strings.Join(masters, ", "))
	}
	return nil
}

func chooseFirmware(all []Machine) {
	chosen := slices.ContainsFunc(all, func(m Machine) bool { return m.Firmware == vm.UEFI })
	for i := range all {
		if all[i].Firmware != "" {
			continue
		}
		all[i].Firmware = vm.BIOS
		if !chosen && slices.Contains(all[i].Roles, api.RoleAgent) && !slices.Contains(all[i].Roles, api.RoleMaster) {
			all[i].Firmware, chosen = vm.UEFI, true
		}
	}
}

// place gives a machine its addresses by its position in the rack.
func (m *Machine) place(i int) {
	n := byte(firstHost + i)
	base := Network.Addr().As4()
	base[3] = n
	m.Address = netip.AddrFrom4(base)
	m.MAC = fmt.Sprintf("52:54:00:77:00:%02x", n)
	h := sha256.Sum256([]byte("ingot rack machine " + m.Name))
	h[6], h[8] = h[6]&0x0f|0x50, h[8]&0x3f|0x80 // RFC 9562: version 5's form, variant 1
	x := hex.EncodeToString(h[:16])
	m.UUID = x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// spaceName names the network namespace after the folder, so that racks in
// different folders do not meet.
func spaceName(dir string) string {
	h := sha256.Sum256([]byte(dir))
	return "ingot-" + hex.EncodeToString(h[:4])
}

// check makes paths absolute and says what does not hold.
func (c *Config) check() (err error) {
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	if c.Program == "" || c.ProvisionerSocket == "" {
		return errors.New("rack: it needs a provisioner's program and socket")
	}
	if c.Program, err = filepath.Abs(c.Program); err != nil {
		return err
	}
	for _, m := range c.Machines {
		if c.Tokens[m.Name] == "" && !m.NoToken {
			return fmt.Errorf("rack: no token for machine %s", m.Name)
		}
	}
	return checkMachines(c.Machines)
}
