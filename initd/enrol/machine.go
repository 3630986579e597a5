package enrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/initd/enrol/smbios"
)

// token is what the machine was handed: ID.SECRET@sha256:HEX.
type token struct {
	text string // ID.SECRET, what the site is sent
	pin  string // sha256:HEX of the site CA's DER
}

// parseToken reads a token; the prefix is gone already.
func parseToken(s string) (token, error) {
	text, pin, ok := strings.Cut(s, "@")
	id, secret, dot := strings.Cut(text, ".")
	digest, sha := strings.CutPrefix(pin, "sha256:")
	if !ok || !dot || id == "" || secret == "" || !sha || len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "" {
		return token{}, errors.New("the machine's token is not ID.SECRET@sha256:HEX: see its SMBIOS OEM string " + api.TokenPrefix)
	}
	return token{text: text, pin: pin}, nil
}

// machine is what the firmware and the image say of this machine.
type machine struct {
	facts      api.MachineFacts
	token      token
	tokenError error // why there is no token
}

func readMachine(dmi, release string) machine {
	var m machine
	m.facts = api.MachineFacts{MACs: macs("/sys/class/net")}
	var r struct {
		Version string `json:"version"`
	}
	if b, err := os.ReadFile(release); err == nil && json.Unmarshal(b, &r) == nil {
		m.facts.Version = r.Version
	}
	if b, err := os.ReadFile(api.ImageFile); err == nil {
		m.facts.Booted = string(b)
	}
	table, err := os.ReadFile(dmi)
	if err != nil {
		m.tokenError = fmt.Errorf("no token: read SMBIOS table: %w", err)
		return m
	}
	info := smbios.Parse(table)
	m.facts.UUID, m.facts.Serial = info.UUID, info.Serial
	for _, s := range info.OEM {
		if t, ok := strings.CutPrefix(s, api.TokenPrefix); ok {
			m.token, m.tokenError = parseToken(t)
			return m
		}
	}
	m.tokenError = fmt.Errorf("no token: none of %d SMBIOS OEM strings begins with %s; the machine will show as pending", len(info.OEM), api.TokenPrefix)
	return m
}

// macs are the hardware addresses of the network cards: virtual links have no
// device behind them.
func macs(dir string) []string {
	list := []string{}
	files, _ := filepath.Glob(dir + "/*/device") // the pattern is well formed
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(f), "address"))
		if a := strings.TrimSpace(string(b)); err == nil && len(a) == len("00:00:00:00:00:00") {
			list = append(list, strings.ToLower(a))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
