package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/image"
	"github.com/ingot-os/ingot/provisioner"
	"github.com/ingot-os/ingot/provisioner/forward"
	"github.com/ingot-os/ingot/provisioner/site"
	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// definition is a Marathon app as its file says it.
type definition struct {
	api.App
	text []byte
}

func readDefinition(path string) (definition, error) {
	var d definition
	var err error
	if d.text, err = os.ReadFile(path); err != nil {
		return d, fmt.Errorf("read app definition: %w: run this in the repository, or give --app FILE", err)
	}
	if err := json.Unmarshal(d.text, &d.App); err != nil {
		return d, fmt.Errorf("read app definition %s: %w", path, err)
	}
	d.ID = strings.Trim(d.ID, "/")
	if d.ID == "" {
		return d, fmt.Errorf("read app definition %s: it has no id", path)
	}
	return d, nil
}

// service is the name that the router knows the app by; empty: none.
func (d definition) service() string { return d.Labels["DCOS_SERVICE_NAME"] }

// build makes the image; what is built already is skipped by the builder.
func (r *rise) build(ctx context.Context) error {
	_, err := image.Build(ctx, showBuild(image.Options{Out: r.image}, r.board, r.spent))
	return err
}

// showBuild tells a board what the builder does, and what it cost.
func showBuild(o image.Options, b *board, s *spent) image.Options {
	o.Log = b.say
	o.Began = func(name string, kind image.Kind) { b.set("image", string(kind)+" "+name, "") }
	o.Progress = func(name string, done, total int64) {
		b.set("image", "download "+name, fmt.Sprintf("%s of %s", mib(done), mib(total)))
	}
	o.Done = func(st image.Step) {
		s.add(string(st.Kind), seconds(st.Seconds))
		if !st.Skipped {
			b.say("%-9s %-24s %6.1f s  %s", st.Kind, st.Name, st.Seconds, mib(st.Bytes))
		}
	}
	return o
}

// found makes the site and the plan of the rack, tokens included: readable by
// root alone, for the rack's daemon.
func (r *rise) found(context.Context) error {
	defer r.spent.during(phaseSite)()
	r.board.set("site", "making keys and tokens", "")
	r.made = true
	c, err := r.plan()
	if err != nil {
		return err
	}
	s, err := readSite(r.siteDir())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.siteDir(), tokenName), []byte(s.Token+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the operator's token: %w", err)
	}
	return writeJSON(filepath.Join(r.dir, rackConfig), c)
}

// plan makes the site (its CA, the operator, a one-time token per machine) and
// the provisioner's configuration, and returns the rack's.
func (r *rise) plan() (rack.Config, error) {
	tokens, err := site.Create(r.siteDir(), site.Plan{
		Name:     "rack",
		Address:  rack.Provisioner,
		URL:      "https://" + r.door,
		Machines: r.members(),
	})
	if err != nil {
		return rack.Config{}, err
	}
	pc, err := r.provisioner()
	if err != nil {
		return rack.Config{}, err
	}
	config := filepath.Join(r.dir, provisionerConfig)
	if err := writeJSON(config, pc); err != nil {
		return rack.Config{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return rack.Config{}, fmt.Errorf("find this program: %w", err)
	}
	c := rack.Config{
		Dir: r.dir, Machines: r.machines, Tokens: map[string]string{}, Forward: r.door,
		Program: self, Args: []string{"provisioner", "serve", "--config", config},
		ProvisionerSocket: pc.Control,
	}
	for name, t := range tokens {
		c.Tokens[name] = strings.TrimPrefix(t, api.TokenPrefix)
	}
	return c, nil
}

// members are the machines that the site expects: those with roles.
func (r *rise) members() []site.Machine {
	var all []site.Machine
	for _, m := range r.machines {
		if len(m.Roles) > 0 {
			all = append(all, site.Machine{Name: m.Name, MAC: m.MAC, Roles: m.Roles, Address: m.Address})
		}
	}
	return all
}

// provisioner is the provisioner's configuration. A rack without a door on the
// host only boots: nothing is forwarded, and there is no registry.
func (r *rise) provisioner() (provisioner.Config, error) {
	img, err := filepath.Abs(r.image)
	if err != nil {
		return provisioner.Config{}, err
	}
	c := provisioner.Config{
		Interface: rack.Interface,
		Address:   netip.PrefixFrom(rack.Provisioner, rack.Network.Bits()),
		Site:      r.siteDir(),
		Image:     img,
		Control:   filepath.Join(r.dir, provisionerSocket),
		Machines:  r.members(),
	}
	if r.door != "" {
		c.Images = filepath.Join(img, "images")
		c.Forwards = []forward.Forward{{FD: rack.ForwardFD, To: r.master()}}
	}
	return c, nil
}

// master is where the rack's router listens.
func (r *rise) master() netip.AddrPort {
	for _, m := range r.machines {
		for _, role := range m.Roles {
			if role == api.RoleMaster {
				return netip.AddrPortFrom(m.Address, api.PortRouter)
			}
		}
	}
	return netip.AddrPort{} // ParseRack wants a master
}

func (r *rise) siteDir() string { return filepath.Join(r.dir, "site") }

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}
