package enrol

import (
	"net/netip"
	"sync"
	"time"
)

// limiter is a token bucket for each address. The zero value is ready.
type limiter struct {
	mu      sync.Mutex // guards buckets
	buckets map[netip.Addr]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// maxBuckets bounds memory: past it all buckets start over, full.
const maxBuckets = 4096

func (l *limiter) allow(a netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil || len(l.buckets) >= maxBuckets {
		l.buckets = map[netip.Addr]bucket{}
	}
	b, ok := l.buckets[a]
	if !ok {
		b = bucket{left: burst, at: now}
	}
	b.left = min(burst, b.left+now.Sub(b.at).Seconds()*perAddr)
	b.at = now
	allowed := b.left >= 1
	if allowed {
		b.left--
	}
	l.buckets[a] = b
	return allowed
}
