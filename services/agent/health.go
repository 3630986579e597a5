package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ingot-os/ingot/api"
)

// pulse is how one health check of an instance stands.
type pulse struct {
	known    bool // a verdict counts: success, or failure after the grace period
	alive    bool
	failures int // in a row, after the grace period
}

// feel takes one result of a check into its pulse; end says that the instance
// has failed too often. As in Marathon, failures within the grace period after
// the start don't count until the first success, and 0 for
// maxConsecutiveFailures never ends it.
func (p pulse) feel(hc api.HealthCheck, age time.Duration, failure error) (_ pulse, end bool) {
	if failure == nil {
		return pulse{known: true, alive: true}, false
	}
	inGrace := age < seconds(hc.GracePeriodSeconds, 0)
	if inGrace && !p.known {
		return p, false
	}
	p.known, p.alive = true, false
	p.failures++
	return p, hc.MaxConsecutiveFailures > 0 && p.failures >= hc.MaxConsecutiveFailures
}

// verdict over all checks: nil while one of them has none.
func verdict(pulses []pulse) *bool {
	all := true
	for _, p := range pulses {
		if !p.known {
			return nil
		}
		all = all && p.alive
	}
	return &all
}

func seconds(s, otherwise float64) time.Duration {
	return time.Duration(cmp.Or(s, otherwise) * float64(time.Second))
}

// prober is the health checks of one running instance.
type prober struct {
	pulses []pulse
	began  time.Time
	stop   context.CancelFunc
}

// heartbeat is one result of one check.
type heartbeat struct {
	id      string
	of      *prober // results of an earlier prober are stale
	check   int
	failure error
}

// probe starts checks for instances that run and have none yet.
func (l *loop) probe(ctx context.Context, observed map[string]api.AllocStatus) {
	for _, a := range l.desired.Allocs {
		st := observed[a.ID]
		_, busy := l.busy[a.ID]
		if st.State != api.TaskRunning || busy || l.probers[a.ID] != nil || len(a.Health) == 0 {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		p := &prober{pulses: make([]pulse, len(a.Health)), began: st.StartedAt, stop: stop}
		l.probers[a.ID] = p
		for i, hc := range a.Health {
			l.wg.Go(func() { l.check(ctx, a, st.IP, p, i, hc) })
		}
	}
}

func (l *loop) unprobe(id string) {
	if p := l.probers[id]; p != nil {
		p.stop()
		delete(l.probers, id)
	}
}

// check repeats one health check until its prober is stopped.
func (l *loop) check(ctx context.Context, a api.Alloc, ip string, p *prober, i int, hc api.HealthCheck) {
	timer := time.NewTimer(seconds(hc.DelaySeconds, 0))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		one, cancel := context.WithTimeout(ctx, seconds(hc.TimeoutSeconds, 20))
		failure := probeOnce(one, l.rt, a, ip, hc)
		cancel()
		if ctx.Err() != nil {
			return
		}
		select {
		case l.beats <- heartbeat{a.ID, p, i, failure}:
		case <-ctx.Done():
			return
		}
		timer.Reset(seconds(hc.IntervalSeconds, 60))
	}
}

// beat takes a result into the state.
func (l *loop) beat(b heartbeat) {
	p := l.probers[b.id]
	if p == nil || p != b.of {
		return
	}
	hc := l.allocs[b.id].Health[b.check]
	var end bool
	p.pulses[b.check], end = p.pulses[b.check].feel(hc, time.Since(p.began), b.failure)
	message := ""
	if b.failure != nil {
		message = fmt.Sprintf("health check failed: %v", b.failure)
	}
	if v := verdict(p.pulses); v != nil {
		l.board.health(b.id, *v, message)
	}
	if end {
		l.doomed[b.id] = fmt.Sprintf("%s (%d times in a row)", message, p.pulses[b.check].failures)
		l.unprobe(b.id)
	}
}
