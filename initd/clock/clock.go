// Package clock sets a node's clock: `initd clock`, a oneshot at boot, before
// any certificate is judged, and again from a timer.
//
// It asks the site's time server (the host of the site URL, UDP port 123) by
// SNTP and steps the clock when it is off by more than half a second, else lets
// the kernel slew it. It keeps a floor: never earlier than the image was built,
// whoever says so. A server that does not answer is a warning, not a failure: a
// site without one boots too; clock.json says which it was. Rights: CAP_SYS_TIME.
// It starts no goroutines.
package clock

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/initd/atomicfile"
	"github.com/ingot-os/ingot/initd/network"
)

// stepAbove is the offset that is stepped; adjtime(3) slews half a second at most
// and takes 1000 s for that.
const stepAbove = 500 * time.Millisecond

// FileState is the name of the state file in the run folder.
const FileState = "clock.json"

// State is clock.json.
type State struct {
	Synchronized bool      `json:"synchronized"`
	OffsetUS     int64     `json:"offset_us"` // what was put right, server minus local
	DelayUS      int64     `json:"delay_us,omitempty"`
	Server       string    `json:"server,omitempty"`
	Stratum      int       `json:"stratum,omitempty"`
	At           time.Time `json:"at"`
	Reason       string    `json:"reason,omitempty"` // why it is not synchronized
}

// options are the flags.
type options struct {
	server, run, release string
	wait                 time.Duration
	dry                  bool
}

func flags(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("clock", flag.ContinueOnError)
	fs.StringVar(&o.server, "server", "", "time server, host:port (default: the site's, port 123)")
	fs.StringVar(&o.run, "state", network.RunDir, "folder for clock.json, and of network.json")
	fs.StringVar(&o.release, "release", "/etc/ingot/release.json", "file whose \"built\" is the earliest time to believe")
	fs.DurationVar(&o.wait, "wait", 5*time.Second, "how long to wait for an answer")
	fs.BoolVar(&o.dry, "dry-run", false, "ask, say, and leave the clock alone")
	return o, fs.Parse(args)
}

// Run asks once, with retries, and sets the clock.
func Run(ctx context.Context, args []string) error {
	o, err := flags(args)
	if err != nil {
		return err
	}
	say := log.New(os.Stderr, "", 0)
	k := kernel{dry: o.dry}
	floor := built(o.release)
	s, err := synchronize(ctx, o, k, floor)
	if err != nil {
		say.Printf("<4>clock is not synchronized: %v", err)
		s = State{Reason: err.Error(), Server: s.Server}
		if err := raise(k, floor, say); err != nil {
			return err
		}
	} else {
		say.Printf("<6>clock was off by %v, set from %s (stratum %d)", time.Duration(s.OffsetUS)*time.Microsecond, s.Server, s.Stratum)
	}
	s.At = time.Now().UTC()
	return atomicfile.JSON(filepath.Join(o.run, FileState), s)
}

// raise lifts a clock below the floor to it.
func raise(k kernel, floor time.Time, say *log.Logger) error {
	if now := time.Now(); now.Before(floor) {
		say.Printf("<4>clock says %s, before this image was built: set to %s", now.UTC().Format(time.RFC3339), floor.UTC().Format(time.RFC3339))
		return k.step(floor.Sub(now))
	}
	return nil
}

// synchronize asks the server and puts the clock right.
func synchronize(ctx context.Context, o options, k kernel, floor time.Time) (State, error) {
	server, err := o.address()
	if err != nil {
		return State{}, err
	}
	s := State{Server: server}
	m, err := ask(ctx, server, o.wait)
	if err != nil {
		return s, err
	}
	if m.sent.Before(floor) {
		return s, fmt.Errorf("%s says %s, before this image was built (%s): set the clock of that machine",
			server, m.sent.UTC().Format(time.RFC3339), floor.UTC().Format(time.RFC3339))
	}
	if m.offset.Abs() > stepAbove {
		err = k.step(m.offset)
	} else {
		err = k.slew(m.offset)
	}
	s.Synchronized, s.Stratum = err == nil, m.stratum
	s.OffsetUS, s.DelayUS = m.offset.Microseconds(), m.delay.Microseconds()
	return s, err
}

// address is the server's host:port.
func (o options) address() (string, error) {
	if o.server != "" {
		return o.server, nil
	}
	n, err := network.Load(o.run)
	if err != nil {
		return "", err
	}
	u, err := n.SiteURL()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(u.Hostname(), "123"), nil
}

// built is the earliest time to believe: when the image was made. An image that
// does not say gives no floor.
func built(path string) time.Time {
	var r struct {
		Built time.Time `json:"built"`
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.New(os.Stderr, "", 0).Printf("<4>read build time of the image: %v", err)
	}
	return r.Built
}
