package scheduler

import (
	"time"

	"github.com/ingot-os/ingot/api"
)

// steady is how long an instance must have run for its end to count as the
// first failure again.
const steady = time.Minute

// backoff delays launches after failures: backoffSeconds, times backoffFactor
// each time, maxLaunchDelaySeconds at most. It belongs to one configuration of
// an app and is forgotten with the term, as in Marathon.
type backoff struct {
	delay time.Duration
	until time.Time
}

func (b *backoff) fail(a api.App, now, started time.Time) {
	first, most := seconds(a.BackoffSeconds), seconds(a.MaxLaunchDelaySeconds)
	if b.delay == 0 || !started.IsZero() && now.Sub(started) > max(steady, b.delay) {
		b.delay = first
	} else if !now.Before(b.until) { // several failures of one launch count once
		b.delay = time.Duration(min(float64(b.delay)*a.BackoffFactor, float64(most)))
	}
	b.delay = min(b.delay, most)
	b.until = now.Add(b.delay)
}

func seconds(s float64) time.Duration {
	const most = 365 * 24 * 3600
	return time.Duration(min(s, most) * float64(time.Second))
}
