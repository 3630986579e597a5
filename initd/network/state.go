package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Names of the files in the run folder.
const (
	RunDir      = "/run/ingot"
	FileState   = "network.json"
	FileResolve = "resolv.conf"
)

// State is what the node knows of its network: network.json.
type State struct {
	Interface string `json:"interface"`
	MAC       string `json:"mac"`
	Address   string `json:"address"` // IPv4
	Prefix    int    `json:"prefix"`
	Gateway   string `json:"gateway,omitempty"`
	Site      string `json:"site,omitempty"` // https://ADDRESS:PORT, out of api.DHCPOptionSite
}

// Load reads network.json of a run folder.
func Load(dir string) (State, error) {
	var s State
	b, err := os.ReadFile(filepath.Join(dir, FileState))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("no network yet: %w", err)
	}
	if err != nil {
		return s, fmt.Errorf("read network state: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read network state %s: %w", FileState, err)
	}
	return s, nil
}

// errNoSite is a lease without api.DHCPOptionSite.
var errNoSite = errors.New("the DHCP answer named no site (option 224): is the DHCP server an Ingot provisioner?")

// SiteURL is the site's address, checked: https and a host.
func (s State) SiteURL() (*url.URL, error) {
	if s.Site == "" {
		return nil, errNoSite
	}
	u, err := url.Parse(s.Site)
	if err != nil {
		return nil, fmt.Errorf("site URL of DHCP option 224: %w", err)
	}
	if u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("site URL %q of DHCP option 224 is not https://ADDRESS:PORT", s.Site)
	}
	return u, nil
}
