package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
)

const (
	poll  = 250 * time.Millisecond // of the app's state
	stuck = 10 * time.Second       // after so long without a task, the queue is asked why
)

// serve creates the app, waits until it is healthy and fetches it.
func (r *rise) serve(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.patience, errors.New("too slow"))
	defer cancel()
	k, err := openSite(r.siteDir())
	if err != nil {
		return err
	}
	r.cluster = k
	s, err := readSite(r.siteDir())
	if err != nil {
		return err
	}
	r.base = s.URL
	if err := r.gather(ctx); err != nil {
		return err
	}
	posted := time.Now()
	if err := r.post(ctx); err != nil {
		return err
	}
	if err := r.healthy(ctx, posted); err != nil {
		return err
	}
	return r.fetch(ctx)
}

// gather waits until the scheduler knows every agent of the rack: an app created
// before that lands on the first of them alone.
func (r *rise) gather(ctx context.Context) error {
	defer r.spent.during(phaseGather)()
	for {
		nodes, err := r.cluster.Nodes(ctx)
		alive := map[string]bool{}
		for _, n := range nodes {
			alive[n.Node] = n.Alive
		}
		var missing []string
		for _, m := range r.machines {
			if slices.ContainsFunc(m.Roles, api.Role.RunsTasks) && !alive[m.Name] {
				missing = append(missing, m.Name)
			}
		}
		why := strings.Join(missing, ", ") + " not registered"
		if err != nil {
			why = oneLine(err)
		} else if len(missing) == 0 {
			return nil
		}
		r.board.set("app", "waiting for the agents", why)
		if pause(ctx) != nil {
			return fmt.Errorf("wait for the agents: %s", why)
		}
	}
}

// post creates the app; the router and the scheduler behind it may need a
// moment. One that exists already is as good.
func (r *rise) post(ctx context.Context) error {
	for {
		r.board.set("app", "creating /"+r.app.ID, "")
		_, err := r.cluster.AddApp(ctx, r.app.text)
		if err == nil || api.KindOf(err) == api.KindConflict {
			return nil
		}
		if api.KindOf(err) != api.KindUnavailable {
			return fmt.Errorf("create app /%s: %w", r.app.ID, err)
		}
		r.board.set("app", "creating /"+r.app.ID, oneLine(err))
		if pause(ctx) != nil {
			return fmt.Errorf("create app /%s: %w", r.app.ID, err)
		}
	}
}

// healthy waits for all instances.
func (r *rise) healthy(ctx context.Context, posted time.Time) error {
	var running time.Time
	for {
		a, err := r.cluster.App(ctx, r.app.ID)
		now := time.Now()
		have, want := a.TasksRunning, a.Instances
		if len(a.HealthChecks) > 0 {
			have = a.TasksHealthy
		}
		if err == nil && a.TasksRunning > 0 && running.IsZero() {
			running = now
			r.spent.add(phaseContainer, now.Sub(posted))
		}
		if err == nil && have >= want {
			r.spent.add(phaseHealthy, now.Sub(running))
			return nil
		}
		why := r.why(ctx, a, err, now.Sub(posted))
		r.board.set("app", fmt.Sprintf("%d of %d running, %d healthy", a.TasksRunning, want, a.TasksHealthy), why)
		if pause(ctx) != nil {
			return fmt.Errorf("app /%s: %d of %d running, %d healthy after %s: %s", r.app.ID, a.TasksRunning, want, a.TasksHealthy, span(now.Sub(posted)), why)
		}
	}
}

// why words what the app waits for.
func (r *rise) why(ctx context.Context, a api.App, err error, since time.Duration) string {
	switch {
	case err != nil:
		return oneLine(err)
	case a.LastTaskFailure != nil:
		return fmt.Sprintf("%s on %s: %s", a.LastTaskFailure.State, a.LastTaskFailure.Host, a.LastTaskFailure.Message)
	case since < stuck || a.TasksRunning == a.Instances:
		return ""
	}
	queue, err := r.cluster.Queue(ctx)
	if err != nil {
		return oneLine(err)
	}
	for _, q := range queue {
		if q.App.ID == a.ID {
			return waiting(q)
		}
	}
	return ""
}

// fetch asks the app through the router, as its users will.
func (r *rise) fetch(ctx context.Context) error {
	if r.app.service() == "" {
		return nil
	}
	defer r.spent.during(phaseAnswer)()
	for {
		r.board.set("app", "asking "+r.url(), "")
		err := get(ctx, r.cluster, r.app.service())
		if err == nil {
			return nil
		}
		r.board.set("app", "asking "+r.url(), oneLine(err))
		if pause(ctx) != nil {
			return fmt.Errorf("ask %s: %w", r.url(), err)
		}
	}
}

func get(ctx context.Context, k *client.Cluster, service string) error {
	body, err := k.Service(ctx, service, "/")
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// url is the app's address for people: that of the site, which for a rack that
// is up already may not be the one asked for now.
func (r *rise) url() string {
	return r.base + "/service/" + r.app.service() + "/"
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(poll):
		return nil
	}
}
