package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// table holds the newest routes of the scheduler.
type table struct {
	url    string
	client *http.Client
	first  chan struct{} // closed when the first table has come

	mu     sync.Mutex // guards what follows
	routes api.RouteTable
	ready  bool
}

func newTable(scheduler string, c *http.Client) *table {
	return &table{url: "https://" + scheduler + "/v1/routes", client: c, first: make(chan struct{})}
}

// Pauses between two tries to reach the scheduler.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
)

// run follows the stream until ctx ends; a broken stream is opened again and
// what was known stays in use meanwhile.
func (t *table) run(ctx context.Context) {
	pause, told := retryFirst, false
	for {
		got, err := t.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if got {
			pause, told = retryFirst, false
		}
		if !told {
			warnf("routes: %v; the last table stays in use", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
	}
}

// follow reads one stream to its end and tells whether it brought a table.
func (t *table) follow(ctx context.Context) (got bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return false, fmt.Errorf("ask for routes: %w", err)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask for routes: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("ask for routes: scheduler answers %s", resp.Status)
	}
	lines := json.NewDecoder(resp.Body)
	for {
		var next api.RouteTable
		if err := lines.Decode(&next); err != nil {
			return got, fmt.Errorf("follow routes: %w", err)
		}
		t.set(next)
		got = true
	}
}

func (t *table) set(next api.RouteTable) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routes = next
	if !t.ready {
		t.ready = true
		close(t.first)
	}
}

// wait blocks until a table is there: a router that init has just started for
// this very request has none yet.
func (t *table) wait(ctx context.Context, most time.Duration) error {
	select {
	case <-t.first:
		return nil
	default:
	}
	select {
	case <-t.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(most):
		return api.Errorf(api.KindUnavailable, "the scheduler has sent no routes yet").
			WithHint("ingot unit ls --node MASTER shows whether scheduler.service runs")
	}
}

// find returns the route with the longest name that path (behind /service/)
// starts with: names may hold slashes, and /service/a/b/c may mean "a/b".
func (t *table) find(path string) (api.Route, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best api.Route
	found := false
	for _, r := range t.routes.Services {
		name := strings.Trim(r.Name, "/")
		if (path == name || strings.HasPrefix(path, name+"/")) && (!found || len(name) > len(best.Name)) {
			best, found = r, true
			best.Name = name
		}
	}
	return best, found
}

// names lists the services, for whoever asked for one that is not there.
func (t *table) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for _, r := range t.routes.Services {
		names = append(names, strings.Trim(r.Name, "/"))
	}
	return names
}
