package router

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds that together keep a GET under two seconds while one instance of two
// is on a machine without power.
const (
	dialTimeout = 400 * time.Millisecond // a rack answers a SYN within a millisecond
	hedgeAfter  = 700 * time.Millisecond // without a header, a second instance is asked too
	ejectFor    = 5 * time.Second        // an instance that failed comes last for so long
	userTimeout = 10 * time.Second       // unacknowledged data ends a connection (RFC 5482)
)

// backends are the instances that have been spoken to, by scheme and address.
type backends struct {
	now func() time.Time

	mu   sync.Mutex // guards what follows
	all  map[string]*backend
	turn uint
}

// backend is one instance. It has transports of its own, so that connections
// to it can be dropped without touching any other's.
type backend struct {
	scheme, address string

	kept  *http.Transport // for requests that may be repeated
	fresh *http.Transport // a connection for each request: a stale one may not eat a POST
	// ejected is the time until which it comes last.
	ejected time.Time // guarded by backends.mu
	used    time.Time // guarded by backends.mu
}

func newBackends() *backends {
	return &backends{now: time.Now, all: map[string]*backend{}}
}

// pick returns the backends of a route in the order to try: round robin,
// those that failed lately behind all others.
func (b *backends) pick(scheme string, endpoints []string) []*backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.turn++
	var good, bad []*backend
	for i := range endpoints {
		e := b.get(scheme, endpoints[(int(b.turn)+i)%len(endpoints)])
		e.used = now
		if now.Before(e.ejected) {
			bad = append(bad, e)
		} else {
			good = append(good, e)
		}
	}
	b.forget(now)
	return append(good, bad...)
}

func (b *backends) get(scheme, endpoint string) *backend {
	key := scheme + "://" + endpoint
	if e := b.all[key]; e != nil {
		return e
	}
	e := &backend{scheme: scheme, address: endpoint, kept: transport(), fresh: transport()}
	e.fresh.DisableKeepAlives = true
	b.all[key] = e
	return e
}

// forget drops backends that no route has named for a while.
func (b *backends) forget(now time.Time) {
	for key, e := range b.all {
		if now.Sub(e.used) > time.Minute {
			e.kept.CloseIdleConnections()
			delete(b.all, key)
		}
	}
}

// eject puts a backend last for a while. Connections kept to it may lead
// nowhere, so they go.
func (b *backends) eject(e *backend) {
	b.mu.Lock()
	e.ejected = b.now().Add(ejectFor)
	b.mu.Unlock()
	e.kept.CloseIdleConnections()
}

func (b *backends) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.all {
		e.kept.CloseIdleConnections()
	}
}

// transport speaks HTTP/1.1 to one instance. A service's own certificate is not
// checked, as DC/OS' router did not: it has no name that the site vouches for.
func transport() *http.Transport {
	return &http.Transport{
		DialContext:         dialInstance,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout: hedgeAfter,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
}

func dialInstance(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
			})
			if cerr != nil {
				return cerr
			}
			return err
		},
	}
	return d.DialContext(ctx, network, address)
}
