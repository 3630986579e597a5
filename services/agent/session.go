package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Back-off between sessions, and how long one call may take.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 5 * time.Second
	callLimit  = 6 * time.Second
	batch      = 30 * time.Millisecond // changes within it travel together
)

// session is the agent's talk with one master at a time: register, a full
// report, then the stream of sets one way and reports the other. Any error ends
// it, and the next begins with the next master.
type session struct {
	inventory api.AgentInventory
	masters   []string // addresses, with a port where it is not the usual one
	client    *http.Client
	board     *board
	sets      chan<- api.AllocSet
}

// run holds sessions until ctx ends.
func (s *session) run(ctx context.Context) {
	pause, said := firstPause, ""
	for i := 0; ctx.Err() == nil && len(s.masters) > 0; i++ {
		began := time.Now()
		err := s.hold(ctx, "https://"+withPort(s.masters[i%len(s.masters)]))
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != said {
			slog.Warn("talk with master; trying again", "err", err)
			said = text
		}
		if time.Since(began) > maxPause {
			pause, said = firstPause, ""
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
		}
		pause = min(pause*2, maxPause)
	}
}

func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(api.PortScheduler))
}

// hold is one session; its error is never nil.
func (s *session) hold(ctx context.Context, master string) error {
	if err := s.post(ctx, master+"/agent/v1/register", s.inventory); err != nil {
		return fmt.Errorf("register with %s: %w", master, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	errs := make(chan error, 2)
	wg.Go(func() { errs <- s.listen(ctx, master) })
	wg.Go(func() { errs <- s.report(ctx, master) })
	err := <-errs
	stop()
	return err
}

// listen hands each set of the stream to the loop.
func (s *session) listen(ctx context.Context, master string) error {
	u := master + "/agent/v1/allocs?node=" + url.QueryEscape(s.inventory.Node)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return fmt.Errorf("follow allocations: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("follow allocations: %w", err)
	}
	defer resp.Body.Close()
	if err := answer(resp); err != nil {
		return fmt.Errorf("follow allocations of %s: %w", master, err)
	}
	for d := json.NewDecoder(resp.Body); ; {
		// Revision 0 without allocations would be a line that is no set at all,
		// and taking it for one would end everything that runs.
		var set struct {
			Revision *int64      `json:"revision"`
			Allocs   []api.Alloc `json:"allocs"`
		}
		if err := d.Decode(&set); err != nil {
			return fmt.Errorf("follow allocations of %s: %w", master, err)
		}
		if set.Revision == nil {
			continue
		}
		select {
		case s.sets <- api.AllocSet{Revision: *set.Revision, Allocs: set.Allocs}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// report tells everything once, then what changes, at least every
// api.HeartbeatSeconds.
func (s *session) report(ctx context.Context, master string) error {
	tick := time.NewTicker(api.HeartbeatSeconds * time.Second)
	defer tick.Stop()
	for full := true; ; full = false {
		list := s.board.take(full)
		r := api.StatusReport{Node: s.inventory.Node, Full: full, Statuses: list}
		if err := s.post(ctx, master+"/agent/v1/status", r); err != nil {
			s.board.giveBack(list)
			return fmt.Errorf("report to %s: %w", master, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-s.board.news:
			select {
			case <-time.After(batch):
			case <-ctx.Done():
			}
		}
	}
}

func (s *session) post(ctx context.Context, u string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := answer(resp); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection is used again
	return err
}

// answer turns a refusal into its error.
func answer(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	var e api.Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&e); err == nil && e.Message != "" {
		return &e
	}
	return errors.New(resp.Status)
}
