package inventory

import (
	"context"
	"slices"

	"github.com/ingot-os/ingot/api"
)

// Watch is one listener. A slow one misses states in between, never the last
// one, and holds nobody up.
type Watch struct {
	i     *Inventory
	wake  chan struct{}
	dirty map[string]bool // guarded by i.mu
}

// Watch starts listening; the first Next returns every machine as it is.
func (i *Inventory) Watch() *Watch {
	w := &Watch{i: i, wake: make(chan struct{}, 1), dirty: map[string]bool{}}
	i.mu.Lock()
	defer i.mu.Unlock()
	for name := range i.machines {
		w.dirty[name] = true
	}
	i.watchers[w] = true
	w.wake <- struct{}{}
	return w
}

// Close ends listening.
func (w *Watch) Close() {
	w.i.mu.Lock()
	defer w.i.mu.Unlock()
	delete(w.i.watchers, w)
}

// Next waits for changes and returns the machines that changed, by name.
func (w *Watch) Next(ctx context.Context) ([]api.Machine, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.wake:
	}
	w.i.mu.Lock()
	defer w.i.mu.Unlock()
	changed := slices.DeleteFunc(w.i.list(), func(m api.Machine) bool { return !w.dirty[m.Name] })
	clear(w.dirty)
	return changed, nil
}

// tell marks a machine as changed; the caller holds mu.
func (i *Inventory) tell(name string) {
	for w := range i.watchers {
		w.dirty[name] = true
		select {
		case w.wake <- struct{}{}:
		default: // woken already
		}
	}
}
