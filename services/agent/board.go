package agent

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// board holds the statuses that masters should know. The loop writes, the
// session reads; safe for both.
type board struct {
	mu     sync.Mutex // guards what follows
	all    map[string]api.AllocStatus
	dirty  map[string]bool // changed since reported
	wanted map[string]bool
	news   chan struct{} // holds one hint
}

func newBoard() *board {
	return &board{all: map[string]api.AllocStatus{}, dirty: map[string]bool{}, wanted: map[string]bool{}, news: make(chan struct{}, 1)}
}

func (b *board) desire(wanted map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = wanted
}

// set puts up a status; one that says the same as before is no news.
func (b *board) set(st api.AllocStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(st)
}

func (b *board) put(st api.AllocStatus) {
	old, known := b.all[st.ID]
	if known && same(old, st) {
		return
	}
	if st.UpdatedAt.IsZero() {
		st.UpdatedAt = time.Now().UTC()
	}
	b.all[st.ID] = st
	b.dirty[st.ID] = true
	b.hint()
}

func (b *board) hint() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func same(a, b api.AllocStatus) bool {
	healthy := (a.Healthy == nil) == (b.Healthy == nil) && (a.Healthy == nil || *a.Healthy == *b.Healthy)
	return healthy && a.State == b.State && a.Message == b.Message && a.ExitCode == b.ExitCode &&
		a.IP == b.IP && a.StartedAt.Equal(b.StartedAt)
}

// running puts up that an instance runs, keeping what is known of its health.
func (b *board) running(st api.AllocStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.all[st.ID]
	if old.State.Terminal() {
		return // noted as ended: it is being removed
	}
	st.Healthy = old.Healthy
	b.put(st)
}

// health puts up what the health checks say of a running instance.
func (b *board) health(id string, healthy bool, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st, ok := b.all[id]
	if !ok || st.State != api.TaskRunning {
		return
	}
	st.Healthy, st.Message, st.UpdatedAt = &healthy, message, time.Time{}
	b.put(st)
}

func (b *board) status(id string) api.AllocStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[id]
}

// settled lists the instances that have ended for good.
func (b *board) settled() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := map[string]bool{}
	for id, st := range b.all {
		if st.State.Terminal() {
			s[id] = true
		}
	}
	return s
}

// unwanted lists the instances that are not desired and fully reported.
func (b *board) unwanted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id := range b.all {
		if !b.wanted[id] && !b.dirty[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

func (b *board) drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, id)
}

// take hands out what is to be reported, all or only what changed, and counts
// it as reported; giveBack undoes that when the report did not arrive.
func (b *board) take(full bool) []api.AllocStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []api.AllocStatus
	for id, st := range b.all {
		if full || b.dirty[id] {
			list = append(list, st)
		}
	}
	clear(b.dirty)
	slices.SortFunc(list, func(x, y api.AllocStatus) int { return strings.Compare(x.ID, y.ID) })
	return list
}

func (b *board) giveBack(list []api.AllocStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, st := range list {
		if _, ok := b.all[st.ID]; ok {
			b.dirty[st.ID] = true
		}
	}
}
