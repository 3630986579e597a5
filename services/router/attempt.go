package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// attempts is the RoundTripper of one request: it knows the instances to try
// and in which order.
type attempts struct {
	pool  *backends
	order []*backend
}

// repeatable tells whether a request may reach two instances (RFC 9110
// section 9.2.2), and could be sent a second time at all.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header.Get("Upgrade") == "" && (r.Body == nil || r.Body == http.NoBody)
	}
	return false
}

// RoundTrip sends the request until an instance answers.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	if repeatable(r) {
		return a.race(r)
	}
	return a.once(r)
}

// once sends a request that may be seen only once: on to the next instance only
// while no connection came about.
func (a *attempts) once(r *http.Request) (*http.Response, error) {
	body := r.Body
	if body != nil {
		defer body.Close()
	}
	var failed []error
	for _, e := range a.order {
		out := r.Clone(r.Context())
		if body != nil {
			out.Body = io.NopCloser(body) // a failed dial closes, and has not read
		}
		resp, err := send(e, e.fresh, out)
		if err == nil {
			return resp, nil
		}
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		failed = append(failed, err)
		if dial, ok := errors.AsType[*net.OpError](err); !ok || dial.Op != "dial" {
			break
		}
		a.pool.eject(e)
	}
	return nil, errors.Join(failed...)
}

// outcome is what one attempt of a race came to.
type outcome struct {
	n      int
	resp   *http.Response
	err    error
	cancel context.CancelFunc
}

// race asks the next instance when one fails or stays silent for hedgeAfter;
// the first answer wins and the others are called off.
func (a *attempts) race(r *http.Request) (*http.Response, error) {
	results := make(chan outcome, len(a.order)) // no attempt ever blocks on it
	cancels := make([]context.CancelFunc, 0, len(a.order))
	start := func() bool {
		n := len(cancels)
		if n == len(a.order) {
			return false
		}
		ctx, cancel := context.WithCancel(r.Context())
		cancels = append(cancels, cancel)
		go func() {
			resp, err := send(a.order[n], a.order[n].kept, r.Clone(ctx))
			results <- outcome{n, resp, err, cancel}
		}()
		return true
	}
	start()
	silent := time.NewTimer(hedgeAfter)
	defer silent.Stop()
	var failed []error
	open := map[int]bool{0: true}
	for {
		select {
		case <-silent.C:
			if start() {
				open[len(cancels)-1] = true
				silent.Reset(hedgeAfter)
			}
		case o := <-results:
			delete(open, o.n)
			if o.err == nil {
				a.settle(o, open, cancels, results)
				o.resp.Body = &calledOff{o.resp.Body, o.cancel}
				return o.resp, nil
			}
			o.cancel()
			if r.Context().Err() == nil {
				a.pool.eject(a.order[o.n])
			}
			failed = append(failed, o.err)
			if start() {
				open[len(cancels)-1] = true
				silent.Reset(hedgeAfter)
			} else if len(open) == 0 {
				return nil, errors.Join(failed...)
			}
		}
	}
}

// settle calls off the attempts that lost. One that was asked earlier than the
// winner and still has not said a word is taken for bad.
func (a *attempts) settle(won outcome, open map[int]bool, cancels []context.CancelFunc, results <-chan outcome) {
	for n := range open {
		cancels[n]()
		if n < won.n {
			a.pool.eject(a.order[n])
		}
	}
	if len(open) == 0 {
		return
	}
	go func(left int) { // ends at once: each attempt's context is over
		for range left {
			if o := <-results; o.err == nil {
				o.resp.Body.Close()
			}
		}
	}(len(open))
}

func send(e *backend, by *http.Transport, r *http.Request) (*http.Response, error) {
	u := *r.URL
	u.Scheme, u.Host = e.scheme, e.address
	r.URL = &u
	resp, err := by.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Host, err)
	}
	return resp, nil
}

// calledOff ends an attempt's context when its answer has been read.
type calledOff struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c *calledOff) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
