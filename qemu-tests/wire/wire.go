// Package wire is a user-space Ethernet switch for virtual machines: the one
// cable that a rack hangs off.
//
// A port is a place on the switch with a name; what is plugged into it is a
// Link: a QEMU over a unix socket (Listen), or a tap (TapLink). The switch
// learns addresses and floods what it does not know. Faults are one call each:
// Cut, Partition, Loss. Record writes what passes as a libpcap file.
//
// It refuses to wait: each port has a bounded queue, and a frame for a port
// that does not keep up is counted and dropped, so that a slow machine never
// stalls another one.
//
// Goroutines: one accepts for each Listen; one reads and one writes for each
// link that is plugged in. All belong to the Switch, and Close waits for them.
package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// MaxFrame is the longest frame accepted, as QEMU's NET_BUFSIZE.
const MaxFrame = 4096 + 65536

// queueLength is how many frames wait for a slow port: more than one window of
// TCP, because firmware's TCP recovers badly from loss.
const queueLength = 2048

type mac [6]byte

// Counters say what a port has seen. Rx is from the machine, Tx to it.
type Counters struct {
	RxFrames, RxBytes int64
	TxFrames, TxBytes int64
	Dropped           int64 // for want of room in its queue
	Lost              int64 // by Cut, Partition or Loss
}

// Switch is a learning Ethernet switch. Make one with New.
type Switch struct {
	work sync.WaitGroup

	mu     sync.Mutex // guards what follows
	ports  map[string]*port
	table  map[mac]*port
	rand   *rand.Rand
	rec    *tape
	ends   []func() error // of listeners
	closed bool
}

// New makes a switch; seed drives the losses, so that a run can be repeated.
func New(seed uint64) *Switch {
	return &Switch{
		ports: make(map[string]*port),
		table: make(map[mac]*port),
		rand:  rand.New(rand.NewPCG(seed, 0)),
	}
}

var errClosed = errors.New("the switch is closed")

// Plug puts link into the port called name, taking out what was there. The
// switch owns the link from here on.
func (s *Switch) Plug(name string, link Link) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		link.Close()
		return fmt.Errorf("plug into port %s: %w", name, errClosed)
	}
	p := s.port(name)
	if p.plug != nil {
		p.plug.pull()
	}
	g := newPlug(p, link)
	p.plug = g
	s.work.Go(func() { s.pump(g) })
	s.work.Go(g.drain)
	return nil
}

// Unplug takes out what is in the port called name.
func (s *Switch) Unplug(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.ports[name]; p != nil && p.plug != nil {
		p.plug.pull()
		p.plug = nil
	}
}

// Counters tells what the port called name has seen.
func (s *Switch) Counters(name string) Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.ports[name]; p != nil {
		return p.count
	}
	return Counters{}
}

// Close takes out every link, ends every listener and recording, and waits for
// all of the switch's goroutines.
func (s *Switch) Close() error {
	s.mu.Lock()
	s.closed = true
	var errs []error
	for _, end := range s.ends {
		errs = append(errs, end())
	}
	s.ends = nil
	for _, p := range s.ports {
		if p.plug != nil {
			p.plug.pull()
			p.plug = nil
		}
	}
	s.mu.Unlock()
	s.work.Wait()
	return errors.Join(append(errs, s.StopRecording())...)
}

// port finds or makes a port; the caller holds mu.
func (s *Switch) port(name string) *port {
	p := s.ports[name]
	if p == nil {
		p = &port{name: name}
		s.ports[name] = p
	}
	return p
}

// pump reads frames from a link until it ends.
func (s *Switch) pump(g *plug) {
	defer s.drop(g)
	buf := make([]byte, MaxFrame)
	for {
		n, err := g.link.ReadFrame(buf)
		if err != nil {
			return // the machine is off
		}
		if n >= 14 { // an Ethernet header
			s.forward(g, append([]byte(nil), buf[:n]...))
		}
	}
}

// drop forgets a link that ended by itself.
func (s *Switch) drop(g *plug) {
	g.pull()
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.port.plug == g {
		g.port.plug = nil
	}
}

// forward carries one frame from the link it came in on to where it goes.
func (s *Switch) forward(g *plug, frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := g.port
	if from.plug != g { // pulled while it was reading
		return
	}
	from.count.RxFrames++
	from.count.RxBytes += int64(len(frame))
	if from.cut {
		from.count.Lost++
		return
	}
	s.rec.write(frame)
	dst, src := mac(frame[0:6]), mac(frame[6:12])
	if src[0]&1 == 0 { // a group address is nobody's source (IEEE 802.3, 3.2.3)
		s.table[src] = from
	}
	if to := s.table[dst]; to != nil && dst[0]&1 == 0 {
		s.send(from, to, frame)
		return
	}
	for _, to := range s.ports {
		s.send(from, to, frame)
	}
}

// send puts a frame into a port's queue unless a fault or the queue forbids.
func (s *Switch) send(from, to *port, frame []byte) {
	if to == from || to.plug == nil {
		return
	}
	if s.lost(from, to) {
		to.count.Lost++
		return
	}
	select {
	case to.plug.queue <- frame:
		to.count.TxFrames++
		to.count.TxBytes += int64(len(frame))
	default:
		to.count.Dropped++
	}
}
