package stories

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

// What is wrong with a definition is said at once, what the cluster finds out
// later is said where its owner looks; nothing of it is left behind.
func badApps(t *testing.T, s *site) {
	_, err := s.cluster.AddApp(t.Context(), []byte(`{"id": "/bad", "cmd": "true", "cpus": -1, "instances": "two"`))
	if api.KindOf(err) != api.KindBadRequest {
		t.Errorf("half a document: %v", err)
	}
	_, err = s.cluster.AddApp(t.Context(), []byte(`{"id": "/bad", "cmd": "true", "cpus": -1}`))
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Kind != api.KindInvalid || len(e.Details) == 0 || e.Details[0].Path != "/cpus" {
		t.Errorf("an app with -1 cpus: %v", err)
	}
	s.explained("nope", `{"id": "/nope", "cpus": 0.1, "mem": 32, "container": {"type": "MESOS", "docker": {"image": "registry.ingot/nope:1"}}}`, missingImage)
	s.explained("huge", `{"id": "/huge", "cpus": 64, "mem": 32, "cmd": "true"}`, tooLarge)
}

// explained creates an app that cannot run, waits for the reason, removes it.
func (s *site) explained(id, definition string, why func(context.Context, *site) error) {
	s.Helper()
	must(s.cluster.AddApp(s.Context(), []byte(definition)))(s)
	took := s.eventually("the reason why "+id+" does not run", time.Minute, func(ctx context.Context) error { return why(ctx, s) })
	s.Logf("%s was explained after %.1f s", id, took.Seconds())
	if err := s.cluster.RemoveApp(s.Context(), id, true); err != nil {
		s.Errorf("remove %s: %v", id, err)
	}
}

func missingImage(ctx context.Context, s *site) error {
	a, err := s.cluster.App(ctx, "nope")
	if err == nil && (a.LastTaskFailure == nil || !strings.Contains(a.LastTaskFailure.Message, "registry.ingot/nope:1: not found")) {
		err = fmt.Errorf("last failure %+v", a.LastTaskFailure)
	}
	return err
}

func tooLarge(ctx context.Context, s *site) error {
	queue, err := s.cluster.Queue(ctx)
	if err != nil {
		return err
	}
	for _, w := range queue {
		for _, r := range w.Processed.Reject {
			if w.App.ID == "/huge" && r.Reason == "InsufficientCpus" && r.Declined > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("the queue says %+v", slices.Clone(queue))
}
