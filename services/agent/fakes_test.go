package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

// patience is how long a test waits for what must happen.
const patience = 15 * time.Second

// watched is state that tests wait on.
type watched struct {
	mu   sync.Mutex
	news chan struct{} // closed and replaced at each change
}

func (w *watched) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	if w.news != nil {
		close(w.news)
	}
	w.news = make(chan struct{})
}

func (w *watched) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		good, news := ok(), w.news
		w.mu.Unlock()
		if good {
			return
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// fakeRuntime keeps instances in memory, with the contract of Runtime.
type fakeRuntime struct {
	watched
	tasks   map[string]api.AllocStatus
	starts  map[string]int
	refused map[string]error
	changed chan struct{}
}

func newFakeRuntime() *fakeRuntime {
	f := &fakeRuntime{tasks: map[string]api.AllocStatus{}, starts: map[string]int{}, refused: map[string]error{}, changed: make(chan struct{}, 1)}
	f.news = make(chan struct{})
	return f
}

func (f *fakeRuntime) hint() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *fakeRuntime) Start(_ context.Context, a api.Alloc) (err error) {
	f.change(func() {
		f.starts[a.ID]++
		if err = f.refused[a.ID]; err == nil && f.tasks[a.ID].State != api.TaskRunning {
			f.tasks[a.ID] = api.AllocStatus{ID: a.ID, State: api.TaskRunning, StartedAt: time.Now()}
		}
	})
	return err
}

func (f *fakeRuntime) Stop(_ context.Context, id string, _ time.Duration) error {
	f.exit(id, 143)
	return nil
}

func (f *fakeRuntime) Remove(_ context.Context, id string) error {
	f.change(func() { delete(f.tasks, id) })
	return nil
}

func (f *fakeRuntime) List(context.Context) ([]api.AllocStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []api.AllocStatus
	for _, st := range f.tasks {
		list = append(list, st)
	}
	return list, nil
}

func (f *fakeRuntime) Exec(context.Context, string, []string) (int, error) { return 0, nil }
func (f *fakeRuntime) Changed() <-chan struct{}                            { return f.changed }
func (f *fakeRuntime) Close() error                                        { return nil }

func (f *fakeRuntime) exit(id string, code int) {
	f.change(func() {
		st, ok := f.tasks[id]
		if ok {
			st.State, st.ExitCode = api.TaskFailed, code
			f.tasks[id] = st
		}
	})
	f.hint()
}

func (f *fakeRuntime) lose(id string) { f.change(func() { delete(f.tasks, id) }) }

func (f *fakeRuntime) refuse(id string, err error) { f.change(func() { f.refused[id] = err }) }

func (f *fakeRuntime) startsOf(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts[id]
}

func (f *fakeRuntime) awaitStarts(t *testing.T, id string, n int) {
	t.Helper()
	f.await(t, "starts of "+id, func() bool { return f.starts[id] >= n })
}

func (f *fakeRuntime) awaitGone(t *testing.T, id string) {
	t.Helper()
	f.await(t, id+" to be removed", func() bool { _, ok := f.tasks[id]; return !ok })
}

// fakeMaster speaks the three calls of the contract.
type fakeMaster struct {
	watched
	t        *testing.T
	srv      *httptest.Server
	set      *api.AllocSet
	inv      api.AgentInventory
	statuses map[string]api.AllocStatus
	silent   bool
	cut      chan struct{} // closed: streams end
}

func newFakeMaster(t *testing.T) *fakeMaster {
	m := &fakeMaster{t: t, statuses: map[string]api.AllocStatus{}, cut: make(chan struct{})}
	m.news = make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /agent/v1/register", m.register)
	mux.HandleFunc("GET /agent/v1/allocs", m.stream)
	mux.HandleFunc("POST /agent/v1/status", m.status)
	m.srv = httptest.NewTLSServer(mux)
	t.Cleanup(func() { m.change(func() { close(m.cut) }); m.srv.Close() })
	return m
}

func (m *fakeMaster) address() string { return m.srv.Listener.Addr().String() }

func (m *fakeMaster) register(w http.ResponseWriter, r *http.Request) {
	var inv api.AgentInventory
	if !m.read(w, r, &inv) {
		return
	}
	m.change(func() { m.inv = inv })
}

func (m *fakeMaster) read(w http.ResponseWriter, r *http.Request, v any) bool {
	m.mu.Lock()
	silent := m.silent
	m.mu.Unlock()
	if silent {
		api.WriteError(w, api.Errorf(api.KindUnavailable, "no leader"))
		return false
	}
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		api.WriteError(w, err)
		return false
	}
	return true
}

func (m *fakeMaster) stream(w http.ResponseWriter, r *http.Request) {
	var sent int64
	for {
		m.mu.Lock()
		set, news, cut := m.set, m.news, m.cut
		m.mu.Unlock()
		if set != nil && set.Revision > sent {
			sent = set.Revision
			if err := json.NewEncoder(w).Encode(set); err != nil {
				return
			}
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-news:
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (m *fakeMaster) status(w http.ResponseWriter, r *http.Request) {
	var rep api.StatusReport
	if !m.read(w, r, &rep) {
		return
	}
	m.change(func() {
		for _, st := range rep.Statuses {
			m.statuses[st.ID] = st
		}
	})
}

func (m *fakeMaster) want(allocs ...api.Alloc) {
	m.change(func() {
		rev := int64(1)
		if m.set != nil {
			rev = m.set.Revision + 1
		}
		m.set = &api.AllocSet{Revision: rev, Allocs: allocs}
	})
}

func (m *fakeMaster) mute(silent bool) { m.change(func() { m.silent = silent; clear(m.statuses) }) }
func (m *fakeMaster) forget()          { m.change(func() { clear(m.statuses) }) }

func (m *fakeMaster) registered() api.AgentInventory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inv
}

func (m *fakeMaster) await(id string, s api.TaskState) api.AllocStatus {
	m.t.Helper()
	return m.awaitThat(id, string(s), func(st api.AllocStatus) bool { return st.State == s })
}

func (m *fakeMaster) awaitThat(id, what string, ok func(api.AllocStatus) bool) (got api.AllocStatus) {
	m.t.Helper()
	m.watched.await(m.t, id+" to be "+what, func() bool { got = m.statuses[id]; return ok(got) })
	return got
}
