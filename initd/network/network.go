// Package network gives a node its network: `initd network`, a Type=notify
// service that holds the node's DHCP lease for as long as the node runs.
//
// It owns the loopback link, the first network card that gets an answer, that
// card's IPv4 address and the default route, and writes network.json and
// resolv.conf in the run folder. The order of life:
//
//	lo up -> wait for cards -> DISCOVER on all of them at once, without end
//	-> address, routes, files -> READY=1 -> renew at T1, rebind at T2
//	-> (refused or ended) address gone, DISCOVER again
//
// It refuses to touch links that are not hardware, or to leave an address in
// place past its lease: the kernel itself drops it then, even if this process is
// dead. It does no ARP probe of the offered address (RFC 2131 section 2.2 asks
// for one; it costs a second of each boot, and the site's server knows its
// machines) and no IPv6. Goroutines: one per card during DISCOVER, waited for; the
// DHCP client's reader, ended by its Close.
package network

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/api/serve"
	"github.com/ingot-os/ingot/initd/atomicfile"
)

// pause is the shortest time between two tries to prolong a lease.
const pause = 5 * time.Second

// daemon is the service.
type daemon struct {
	dir    string // run folder
	ifname string // empty: any card
	kern   *kernel
	log    *log.Logger
}

// Run holds a lease until ctx ends. The address stays when it ends: the service
// may be restarted under running containers.
func Run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("network", flag.ContinueOnError)
	dir := fs.String("run", RunDir, "folder for network.json and resolv.conf")
	ifname := fs.String("interface", "", "use this link only, whatever its kind (default: any network card)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	kern, err := openKernel()
	if err != nil {
		return err
	}
	d := &daemon{dir: *dir, ifname: *ifname, kern: kern, log: log.New(os.Stderr, "", 0)}
	if err := kern.up("lo"); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := d.hold(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// hold is one lease from its beginning to its end.
func (d *daemon) hold(ctx context.Context) error {
	name, l, err := d.first(ctx)
	if err != nil {
		return err
	}
	if err := d.apply(name, l); err != nil {
		return err
	}
	serve.Notify("READY=1\nSTATUS=" + l.addr.String() + " on " + name)
	return d.keep(ctx, name, l)
}

// keep renews l until it is lost.
func (d *daemon) keep(ctx context.Context, name string, l *lease) error {
	var tried time.Time
	for {
		s, at := l.next(time.Now(), tried, pause)
		switch s {
		case stepAgain:
			d.log.Printf("<4>lease of %s on %s ended without a renewal: starting again", l.addr.IP, name)
			return d.kern.drop(name)
		case stepWait:
			if !sleepUntil(ctx, at) {
				return ctx.Err()
			}
			continue
		}
		fresh, err := d.prolong(ctx, name, l, s, at)
		tried = time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case refused(err):
			d.log.Printf("<4>%s may not keep %s: %v: starting again", name, l.addr.IP, err)
			return d.kern.drop(name)
		case err != nil:
			d.log.Printf("<4>renew %s, valid until %s: %v", l.addr.IP, l.end.Format(time.TimeOnly), err)
		default:
			l, tried = fresh, time.Time{}
		}
	}
}

// prolong gets more time for l, by the end of the step, and puts it in place.
func (d *daemon) prolong(ctx context.Context, name string, l *lease, s step, until time.Time) (*lease, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	fresh, err := prolong(ctx, name, l, s)
	if err != nil {
		return nil, err
	}
	return fresh, d.apply(name, fresh)
}

// apply puts a lease into the kernel and the files.
func (d *daemon) apply(name string, l *lease) error {
	mac, err := d.kern.apply(name, l)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(d.dir, FileResolve), l.resolvConf(), 0o644, atomicfile.Root); err != nil {
		return err
	}
	s := l.state(name, mac)
	if old, err := Load(d.dir); err != nil || old != s {
		d.log.Printf("<6>%s is %s, gateway %q, site %q, by DHCP from %s", name, &l.addr, s.Gateway, s.Site, l.server)
	}
	return atomicfile.JSON(filepath.Join(d.dir, FileState), s)
}

// first asks on all cards until one has a lease.
func (d *daemon) first(ctx context.Context) (string, *lease, error) {
	said := map[string]bool{} // each kind of failure is logged once
	complain := func(format string, a ...any) {
		if text := fmt.Sprintf(format, a...); !said[text] {
			said[text] = true
			d.log.Print("<4>" + text)
		}
	}
	for began, wait := time.Now(), time.Second; ; wait = min(2*wait, 15*time.Second) {
		names, err := d.names(ctx, complain)
		if err != nil {
			return "", nil, err
		}
		name, l, errs := race(ctx, names, acquire)
		if l != nil {
			return name, l, nil
		}
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		for _, err := range errs {
			if !errors.Is(err, errSilence) {
				complain("%v", err)
			} else if time.Since(began) > 5*time.Second {
				complain("%v after some seconds of asking: is a provisioner on this network?", err)
			}
		}
		if !sleepUntil(ctx, time.Now().Add(wait)) {
			return "", nil, ctx.Err()
		}
	}
}

// names are the links to ask on, all of them up.
func (d *daemon) names(ctx context.Context, complain func(string, ...any)) ([]string, error) {
	names := []string{d.ifname}
	if d.ifname == "" {
		var err error
		if names, err = d.kern.cards(ctx, complain); err != nil {
			return nil, err
		}
	}
	for _, n := range names {
		if err := d.kern.up(n); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// race asks on all links at once; the first lease wins and ends the others.
func race(ctx context.Context, names []string, acquire func(context.Context, string) (*lease, error)) (string, *lease, []error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		name string
		l    *lease
		err  error
	}
	results := make(chan result, len(names))
	for _, n := range names {
		go func() {
			l, err := acquire(ctx, n)
			results <- result{n, l, err}
		}()
	}
	var won result
	var errs []error
	for range names {
		r := <-results
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
		case won.l == nil:
			won = r
			cancel()
		}
	}
	return won.name, won.l, errs
}

// sleepUntil is false when ctx ended first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
