// Package enrol is a node's side of admission: `initd enrol`, a oneshot that
// ends when the machine is a node and its roles have been started, and
// `initd renew`, which replaces its certificate at half life.
//
// The machine makes its own key, kept from the first request on (a site answers
// the same key again if its answer was lost, another one never), and asks the site (the URL that came
// by DHCP) for a certificate, with the one-time token that its firmware or
// hypervisor handed it as an SMBIOS OEM string. The token also pins the site's
// CA: a site that cannot show a certificate of that CA with the role provisioner
// gets neither the token nor any belief. A machine without a token has nothing to
// check a site by: it sends only public facts, to be listed as pending, and
// believes no admission.
//
//	answer            what then
//	200               check every field against key, pin and each other; write the
//	                  identity; open the sealed CA key if there is one and say so to
//	                  the site; host name; start the roles' targets
//	202 pending       log the reason, ask again every 5 s
//	403               log the reason, ask again without the token every 30 s, so that
//	                  the machine shows as pending
//	503               ask again after Retry-After, every 0.5 s in the first 30 s
//	no answer, other  ask again: 0.5 s, growing to 5 s
//
// It asks without end: a site may come up after its machines. It owns the
// identity folder (identity.NodeDir) and, on the first master, the CA's; a valid
// identity that is there already is kept. It starts no goroutines.
package enrol

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/initd/enrol/smbios"
	"github.com/ingot-os/ingot/initd/network"
)

// options are the flags; tests set all of them.
type options struct {
	run, identity, ca    string // folders
	socket, dmi, release string // files
	setHostname          bool
}

func flags(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("enrol", flag.ContinueOnError)
	fs.StringVar(&o.run, "run", network.RunDir, "folder of network.json")
	fs.StringVar(&o.identity, "identity", identity.NodeDir, "folder for key and certificate")
	fs.StringVar(&o.ca, "ca", "/run/ingot/ca", "folder for the site CA's key, if it is handed over")
	fs.StringVar(&o.socket, "socket", "/run/ingot/initd.sock", "init's control socket, to start the roles' targets")
	fs.StringVar(&o.dmi, "dmi", smbios.Path, "SMBIOS table")
	fs.StringVar(&o.release, "release", "/etc/ingot/release.json", "what image this is")
	fs.BoolVar(&o.setHostname, "set-hostname", true, "take the node's name as host name")
	return o, fs.Parse(args)
}

// Run enrols.
func Run(ctx context.Context, args []string) error {
	o, err := flags(args)
	if err != nil {
		return err
	}
	e := &enroller{options: o, log: log.New(os.Stderr, "", 0)}
	node, err := e.present()
	if err != nil {
		if node, err = e.admission(ctx); err != nil {
			return err
		}
	}
	return e.begin(ctx, node)
}

// enroller is one run.
type enroller struct {
	options
	log *log.Logger
}

// admission asks until the site admits the machine, and stores what it gave.
func (e *enroller) admission(ctx context.Context) (api.NodeIdentity, error) {
	m := readMachine(e.dmi, e.release)
	if m.tokenError != nil {
		e.log.Printf("<4>%v", m.tokenError)
	}
	key, err := e.key()
	if err != nil {
		return api.NodeIdentity{}, err
	}
	c, err := newCandidate(m, key)
	if err != nil {
		return api.NodeIdentity{}, err
	}
	a, err := e.untilAdmitted(ctx, c)
	if err != nil {
		return api.NodeIdentity{}, err
	}
	if err := e.store(key, a); err != nil {
		return api.NodeIdentity{}, err
	}
	e.log.Printf("<6>admitted to site %s as %s, roles %v", a.node.Site, a.node.Name, a.node.Roles)
	return a.node, nil
}

// begin is what follows an admission: the name, the event, the roles.
func (e *enroller) begin(ctx context.Context, node api.NodeIdentity) error {
	if e.setHostname {
		if err := unix.Sethostname([]byte(node.Name)); err != nil {
			e.log.Printf("<4>set host name %s: %v", node.Name, err)
		}
	}
	err := event.Write(api.BootEvent{Event: "enrolled", Name: node.Name})
	if err != nil && !errors.Is(err, event.ErrNoPort) {
		e.log.Printf("<4>%v", err)
	}
	accepted := e.accept(ctx, 1)
	if err := e.startRoles(ctx, node.Roles); err != nil {
		return err
	}
	if accepted != nil {
		e.log.Printf("<4>%v: asking on", accepted)
		accepted = e.accept(ctx, 0)
	}
	return accepted
}

// present is the identity of an earlier run of this boot, if it is whole and
// its certificate is still good.
func (e *enroller) present() (api.NodeIdentity, error) {
	src := &identity.Source{Dir: e.identity}
	node, err := src.Node()
	if err != nil {
		return node, err
	}
	cert, err := src.Certificate()
	if err != nil {
		return node, err
	}
	ca, err := os.ReadFile(filepath.Join(e.identity, identity.FileCA))
	if err != nil {
		return node, fmt.Errorf("read site CA: %w", err)
	}
	return node, holds(cert.Leaf, ca, node)
}
