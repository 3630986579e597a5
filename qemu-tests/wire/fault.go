package wire

import (
	"errors"
	"os"
)

// Cut takes the port's cable away, or puts it back, without either end seeing
// its carrier change.
func (s *Switch) Cut(name string, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port(name).cut = cut
}

// Partition lets ports of one group hear only each other. Ports in no group
// hear everybody; Partition without groups heals.
func (s *Switch) Partition(groups ...[]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		p.group = 0
	}
	for i, names := range groups {
		for _, n := range names {
			s.port(n).group = i + 1
		}
	}
}

// Loss drops a share, 0 to 1, of the frames to and from the port.
func (s *Switch) Loss(name string, share float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port(name).loss = share
}

// lost tells whether a fault eats a frame; the caller holds mu.
func (s *Switch) lost(from, to *port) bool {
	if to.cut || (from.group != 0 && to.group != 0 && from.group != to.group) {
		return true
	}
	loss := max(from.loss, to.loss)
	return loss > 0 && s.rand.Float64() < loss
}

func isClosed(err error) bool { return errors.Is(err, os.ErrClosed) }
