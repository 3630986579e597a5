package stories

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// steady is somebody who uses hello through the router all the time, and wants
// an answer within answerLimit whatever happens to nodes and components.
type steady struct {
	end  context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex    // guards what follows
	all   int           // GETs that have been checked
	gets  int           // since the last check
	slow  time.Duration // the slowest
	fails []string
}

const (
	answerLimit = 2 * time.Second
	betweenGets = 200 * time.Millisecond
)

func (s *site) use() *steady {
	ctx, cancel := context.WithCancel(s.Context())
	u := &steady{end: cancel}
	transport := &http.Transport{TLSClientConfig: s.tls.Clone(), ForceAttemptHTTP2: true} // it adds protocols to its own
	u.done.Go(func() {
		defer transport.CloseIdleConnections()
		tick := time.NewTicker(betweenGets)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				u.get(ctx, transport, s.url+"/service/hello/", s.token)
			}
		}
	})
	return u
}

// get asks once; no answer within answerLimit, or any but 200, is a failure.
func (u *steady) get(ctx context.Context, rt http.RoundTripper, url, token string) {
	began := time.Now()
	err := fetch(ctx, rt, url, token)
	took := time.Since(began)
	if ctx.Err() != nil {
		return // the story is over
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gets++
	u.slow = max(u.slow, took)
	if err != nil || took > answerLimit {
		u.fails = append(u.fails, fmt.Sprintf("%s: after %.2f s: %v", began.UTC().Format("15:04:05.000"), took.Seconds(), err))
	}
}

func fetch(ctx context.Context, rt http.RoundTripper, url, token string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token="+token)
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", res.Status, body)
	}
	return err
}

// check tells how the service was since the last check.
func (u *steady) check(t *testing.T) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	t.Logf("%d GETs, the slowest took %.2f s", u.gets, u.slow.Seconds())
	for i, f := range u.fails {
		if i == 5 {
			t.Errorf("and %d more", len(u.fails)-i)
			break
		}
		t.Errorf("a GET failed at %s", f)
	}
	u.all += u.gets
	u.gets, u.slow, u.fails = 0, 0, nil
}

// stop ends it; a user who hardly asked has shown nothing.
func (u *steady) stop(t *testing.T) {
	t.Helper()
	u.end()
	u.done.Wait()
	if u.all < 100 {
		t.Errorf("%d GETs in all of the story", u.all)
	}
}
