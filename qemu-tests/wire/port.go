package wire

import "sync"

// port is a place on the switch. The switch's mutex guards all of it.
type port struct {
	name  string
	plug  *plug // nil: nothing plugged in
	count Counters
	cut   bool
	group int     // of a partition; 0: hears everybody
	loss  float64 // share of the frames to and from it that get lost
}

// plug is one link in a port.
type plug struct {
	port  *port
	link  Link
	queue chan []byte
	gone  chan struct{}
	once  sync.Once
}

func newPlug(p *port, l Link) *plug {
	return &plug{port: p, link: l, queue: make(chan []byte, queueLength), gone: make(chan struct{})}
}

// pull takes the link out; both of its goroutines end.
func (g *plug) pull() {
	g.once.Do(func() {
		close(g.gone)
		g.link.Close()
	})
}

// drain writes queued frames to the link, flushing when the queue is empty.
func (g *plug) drain() {
	defer g.pull()
	for {
		select {
		case <-g.gone:
			return
		case f := <-g.queue:
			if g.link.WriteFrame(f) != nil {
				return
			}
		}
		if len(g.queue) == 0 && g.link.Flush() != nil {
			return
		}
	}
}
