package scheduler

import "sync"

// topic holds the newest value of something and wakes those who follow it. A
// slow follower misses values, never the newest. It is safe for many
// goroutines; the zero value is ready.
type topic[T any] struct {
	mu      sync.Mutex // guards what follows
	value   T
	changed chan struct{} // closed at the next set; nil until somebody waits
	known   bool
}

func (t *topic[T]) set(v T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.known = v, true
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// get returns the value, whether there is one, and a channel that closes at the
// next.
func (t *topic[T]) get() (T, bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.value, t.known, t.changed
}
