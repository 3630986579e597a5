// Package provisioner turns machines with power and a network cable into nodes
// of a site: it gives them addresses, boot files, the time, certificates and,
// at the registry, container images.
//
// It is the wiring and the one place that logs what machines do; each server is
// a package of its own: dhcpd (with policy and wire), ra, httpboot, sntp,
// enrol, control, forward; inventory holds the list of machines and site the
// folder with keys and tokens. All sockets are opened before the first one is
// served, the control socket last: when it answers, machines may be powered on.
//
// Goroutines: one per server, owned by Run, which returns when its context ends
// or one server fails, and all have ended.
package provisioner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/serve"
	"github.com/ingot-os/ingot/provisioner/control"
	"github.com/ingot-os/ingot/provisioner/dhcpd"
	"github.com/ingot-os/ingot/provisioner/enrol"
	"github.com/ingot-os/ingot/provisioner/forward"
	"github.com/ingot-os/ingot/provisioner/httpboot"
	"github.com/ingot-os/ingot/provisioner/inventory"
	"github.com/ingot-os/ingot/provisioner/listen"
	"github.com/ingot-os/ingot/provisioner/ra"
	"github.com/ingot-os/ingot/provisioner/site"
	"github.com/ingot-os/ingot/provisioner/sntp"
)

// Registry makes the handler of the site registry from a folder of OCI layout
// tars. It is handed in: services are not for this room to import.
type Registry func(dir string) (http.Handler, error)

// Main reads the configuration at path and runs until ctx ends, logging to
// standard error.
func Main(ctx context.Context, path string, registry Registry) error {
	c, err := Read(path)
	if err != nil {
		return err
	}
	return Run(ctx, c, registry, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// Run provisions until ctx ends.
func Run(ctx context.Context, c *Config, registry Registry, log *slog.Logger) error {
	p := &provisioner{config: c, log: log}
	defer p.close()
	if err := p.open(ctx, registry); err != nil {
		return err
	}
	log.Info("provisioner is ready", "interface", c.Interface, "address", c.Address, "site", p.site.Name, "machines", len(c.Machines))
	return p.run(ctx)
}

type provisioner struct {
	config   *Config
	log      *slog.Logger
	site     *site.Site
	machines *inventory.Inventory

	servers []server
	cleanup []func()
	started bool
}

// server is one that is open and waits to be served.
type server struct {
	name  string
	serve func(context.Context) error
	close func() // undoes opening when it is never served
}

func (p *provisioner) add(name string, close func(), serve func(context.Context) error) {
	p.servers = append(p.servers, server{name, serve, close})
}

// open opens everything, or fails with nothing open (close cleans up).
func (p *provisioner) open(ctx context.Context, registry Registry) (err error) {
	if p.site, err = site.Open(p.config.Site); err != nil {
		return err
	}
	if p.machines, err = inventory.Open(p.site.Inventory(), p.config.Machines, p.config.pool()); err != nil {
		return err
	}
	steps := []func(context.Context) error{p.openDHCP, p.openRA, p.openSNTP, p.openBoot, p.openEnrol}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := p.openRegistry(ctx, registry); err != nil {
		return err
	}
	if err := p.openForwards(ctx); err != nil {
		return err
	}
	p.add("renewal", func() {}, p.renew)
	return p.openControl(ctx)
}

func (p *provisioner) close() {
	if !p.started {
		for _, s := range p.servers {
			s.close()
		}
	}
	for _, f := range p.cleanup {
		f()
	}
}

// run serves all until ctx ends or one fails.
func (p *provisioner) run(ctx context.Context) error {
	p.started = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(p.servers))
	for i, s := range p.servers {
		wg.Go(func() {
			if err := s.serve(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.name, err)
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (p *provisioner) own(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(p.config.Address.Addr(), port)
}

func (p *provisioner) openDHCP(ctx context.Context) error {
	s := &dhcpd.Server{Site: p.policySite(), Lookup: p.lookup, Note: p.note, Log: p.log}
	if err := s.Listen(ctx, p.config.Interface); err != nil {
		return err
	}
	p.add("dhcp", s.Close, s.Serve)
	return nil
}

// openRA does without where IPv6 is off: iPXE then boots some 20 s slower.
func (p *provisioner) openRA(ctx context.Context) error {
	s := &ra.Server{Log: p.log}
	if err := s.Listen(ctx, p.config.Interface); err != nil {
		p.log.Warn("no router advertisements: iPXE will wait about 20 seconds for them", "error", err)
		return nil
	}
	p.add("router advertisements", s.Close, s.Serve)
	return nil
}

func (p *provisioner) openSNTP(ctx context.Context) error {
	c, err := listen.UDP(ctx, "", p.own(sntp.Port))
	if err != nil {
		return err
	}
	p.add("sntp", func() { c.Close() }, func(ctx context.Context) error { return sntp.Serve(ctx, c, p.log) })
	return nil
}

func (p *provisioner) openBoot(ctx context.Context) error {
	h, err := httpboot.Open(p.config.Image, "http://"+p.config.Address.Addr().String())
	if err != nil {
		return err
	}
	p.cleanup = append(p.cleanup, h.Close)
	h.Log, h.Served = p.log, p.machines.Served
	return p.openHTTP(ctx, "boot files", api.PortBoot, nil, h)
}

func (p *provisioner) openEnrol(ctx context.Context) error {
	src := p.site.Identity()
	cfg, err := enrol.TLS(src, p.site.CA())
	if err != nil {
		return err
	}
	client, err := src.HTTPClient()
	if err != nil {
		return err
	}
	s := &enrol.Server{Site: p.site, Machines: p.machines, Address: p.config.Address.Addr(), Client: client, Log: p.log}
	return p.openHTTP(ctx, "enrolment", api.PortEnrol, cfg, s.Handler())
}

func (p *provisioner) openRegistry(ctx context.Context, registry Registry) error {
	if p.config.Images == "" || registry == nil {
		return nil
	}
	h, err := registry(p.config.Images)
	if err != nil {
		return err
	}
	cfg, err := p.site.Identity().Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		return err
	}
	return p.openHTTP(ctx, "registry", api.PortRegistry, cfg, h)
}

func (p *provisioner) openHTTP(ctx context.Context, name string, port uint16, cfg *tls.Config, h http.Handler) error {
	l, err := listen.TCP(ctx, p.own(port))
	if err != nil {
		return err
	}
	p.addHTTP(name, l, cfg, h)
	return nil
}

func (p *provisioner) addHTTP(name string, l net.Listener, cfg *tls.Config, h http.Handler) {
	p.add(name, func() { l.Close() }, func(ctx context.Context) error {
		return serve.On(ctx, l, false, serve.Options{TLS: cfg}, h)
	})
}

func (p *provisioner) openForwards(ctx context.Context) error {
	for _, f := range p.config.Forwards {
		l, err := f.Open(ctx)
		if err != nil {
			return err
		}
		p.add("forward to "+f.To.String(), func() { l.Close() }, func(ctx context.Context) error {
			return forward.Serve(ctx, l, f.To, p.log)
		})
	}
	return nil
}

func (p *provisioner) openControl(ctx context.Context) error {
	l, err := control.Listen(ctx, p.config.Control)
	if err != nil {
		return err
	}
	s := &control.Server{Site: p.site, Machines: p.machines}
	p.addHTTP("control socket", l, nil, s.Handler())
	return nil
}
