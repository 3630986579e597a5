package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// How often the loop looks without being told to, and how long it waits after
// an effect that did not work.
const (
	lookEvery = 3 * time.Second
	again     = time.Second
)

// defaultGrace is Marathon's default between SIGTERM and SIGKILL.
const defaultGrace = 3 * time.Second

// loop owns the agent's state; only run's goroutine touches it.
type loop struct {
	node  api.NodeIdentity
	rt    Runtime
	files folder
	board *board
	sets  chan api.AllocSet // from the session
	done  chan outcome      // from workers
	beats chan heartbeat    // from probers

	desired  api.AllocSet
	told     bool                 // desired is known: without it nothing is unwanted
	allocs   map[string]api.Alloc // desired, or still ending
	busy     map[string]worker
	doomed   map[string]string // why
	notUntil map[string]time.Time
	probers  map[string]*prober
	blind    bool // the runtime did not answer last time
	wg       sync.WaitGroup
}

// worker is the effect under way for one instance.
type worker struct {
	do   verb
	stop context.CancelFunc
}

// outcome is what a worker came to.
type outcome struct {
	action
	err error
}

func newLoop(node api.NodeIdentity, rt Runtime, files folder) *loop {
	return &loop{
		node: node, rt: rt, files: files, board: newBoard(),
		sets: make(chan api.AllocSet), done: make(chan outcome), beats: make(chan heartbeat),
		allocs: map[string]api.Alloc{}, busy: map[string]worker{}, doomed: map[string]string{},
		notUntil: map[string]time.Time{}, probers: map[string]*prober{},
	}
}

// restore takes up what the last run wrote down. A file that does not read is
// no reason to end what runs: then the loop waits for a master's word.
func (l *loop) restore() {
	set, ok, err := l.files.desired()
	if err != nil {
		slog.Error("desired state on disk is lost; waiting for a master", "err", err)
		return
	}
	if ok {
		l.adopt(set)
	}
}

// run goes round until ctx ends. Workers are then cancelled and waited for.
func (l *loop) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer l.wind(stop)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	soon := time.NewTimer(0)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case set := <-l.sets:
			l.accept(set)
		case o := <-l.done:
			l.finish(o)
		case b := <-l.beats:
			l.beat(b)
		case <-l.rt.Changed():
		case <-soon.C:
		case <-tick.C:
		}
		if wait := l.round(ctx); wait > 0 {
			soon.Reset(wait)
		}
	}
}

// wind ends all goroutines of the loop; their last words are not needed.
func (l *loop) wind(stop context.CancelFunc) {
	stop()
	ended := make(chan struct{})
	go func() { l.wg.Wait(); close(ended) }()
	for {
		select {
		case <-l.done:
		case <-l.beats:
		case <-ended:
			return
		}
	}
}

// accept makes a set the desired one, on disk first: what is not on disk would
// not come back after a power cut.
func (l *loop) accept(set api.AllocSet) {
	if err := l.files.keepDesired(set); err != nil {
		slog.Error("keep desired state; the one before it still holds", "revision", set.Revision, "err", err)
		return
	}
	l.adopt(set)
}

func (l *loop) adopt(set api.AllocSet) {
	l.desired, l.told = set, true
	wanted := map[string]bool{}
	for _, a := range set.Allocs {
		wanted[a.ID] = true
		if _, known := l.allocs[a.ID]; !known {
			l.meet(a)
		}
		l.allocs[a.ID] = a
	}
	for id := range l.allocs {
		if w := l.busy[id]; !wanted[id] && w.do == doStart {
			w.stop()
		}
	}
	l.board.desire(wanted)
}

// meet looks at an instance for the first time in this run.
func (l *loop) meet(a api.Alloc) {
	if !api.ValidTaskID(a.ID) {
		l.board.set(api.AllocStatus{ID: a.ID, State: api.TaskFailed, Message: "task id cannot name a folder"})
		return
	}
	st, ok, err := l.files.settled(a.ID)
	if err != nil {
		slog.Warn("read how an instance ended; treating it as new", "task", a.ID, "err", err)
	}
	if ok && err == nil {
		l.board.set(st)
	}
}

// round looks and acts once. It returns when to come back sooner than the tick.
func (l *loop) round(ctx context.Context) time.Duration {
	observed, err := l.look(ctx)
	if err != nil {
		return again
	}
	if !l.told {
		return 0
	}
	now := time.Now()
	for _, act := range reconcile(l.situation(observed), now) {
		l.act(ctx, act, observed[act.ID])
	}
	l.probe(ctx, observed)
	l.forget(observed)
	for id, t := range l.notUntil {
		if !now.Before(t) {
			delete(l.notUntil, id)
		}
	}
	if len(l.notUntil) > 0 {
		return again
	}
	return 0
}

func (l *loop) look(ctx context.Context) (map[string]api.AllocStatus, error) {
	list, err := l.rt.List(ctx)
	if err != nil {
		if !l.blind && ctx.Err() == nil {
			slog.Warn("look at what runs; trying again", "err", err)
		}
		l.blind = true
		return nil, err
	}
	l.blind = false
	observed := make(map[string]api.AllocStatus, len(list))
	for _, st := range list {
		observed[st.ID] = st
		if _, wanted := l.allocs[st.ID]; wanted && st.State == api.TaskRunning && l.busy[st.ID].do != doStop {
			l.board.running(st)
		}
	}
	return observed, nil
}

func (l *loop) situation(observed map[string]api.AllocStatus) situation {
	s := situation{
		Desired: l.desired.Allocs, Observed: observed, NotUntil: l.notUntil,
		Settled: l.board.settled(), Doomed: map[string]bool{}, Busy: map[string]bool{},
	}
	for id := range l.doomed {
		s.Doomed[id] = true
	}
	for id := range l.busy {
		s.Busy[id] = true
	}
	return s
}

// forget drops instances that are neither desired nor there, once reported.
func (l *loop) forget(observed map[string]api.AllocStatus) {
	for _, id := range l.board.unwanted() {
		_, there := observed[id]
		_, busy := l.busy[id]
		if there || busy {
			continue
		}
		l.board.drop(id)
		delete(l.allocs, id)
		delete(l.doomed, id)
	}
}
