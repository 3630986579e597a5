package stories

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

// long skips what make test has no time for.
func long(t *testing.T) *rand.Rand {
	t.Helper()
	if os.Getenv("INGOT_LONG") == "" {
		t.Skip("takes minutes: make test-long runs it")
	}
	seed := os.Getenv("SEED")
	t.Logf("SEED=%s", seed)
	h := fnv.New64a()
	h.Write([]byte(seed))
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}

// A public agent takes only what asks for it, and an agent nothing that asks for
// public ones.
func TestLongPublicAgent(t *testing.T) {
	long(t)
	s := up(t, "m1:master a1:agent:bios p1:public-agent:bios")
	public := []byte(`{"id": "/public", "cpus": 0.1, "mem": 32, "cmd": "sleep 1000", "acceptedResourceRoles": ["slave_public"]}`)
	must(s.cluster.AddApp(t.Context(), public))(t)
	for id, node := range map[string]string{"hello": "a1", "public": "p1"} {
		s.eventually(id+" runs on "+node, 3*time.Minute, func(ctx context.Context) error {
			a, err := s.cluster.App(ctx, id)
			if err != nil {
				return err
			}
			running := 0
			for _, task := range a.Tasks {
				if task.Host != s.address(node) {
					t.Fatalf("%s was placed on %s", id, task.Host)
				}
				if task.State == api.TaskRunning {
					running++
				}
			}
			if running != a.Instances {
				return fmt.Errorf("%d of %d run", running, a.Instances)
			}
			return nil
		})
	}
}

// The power of an agent drawn from SEED fails at a moment drawn from it, and comes
// back: hello answers all along, and what moved stays where it is.
func TestLongPowerCutAtRandom(t *testing.T) {
	draw := long(t)
	s := up(t, "m1:master a1:agent:bios a2:agent:bios")
	s.spread()
	user := s.use()
	defer user.stop(t)
	defer user.check(t)
	agent := []string{"a1", "a2"}[draw.IntN(2)]
	pause := time.Duration(draw.IntN(8000)) * time.Millisecond
	t.Logf("cutting %s after %s", agent, pause)
	select { // the moment is the point of this story
	case <-time.After(pause):
	case <-t.Context().Done():
	}
	if err := s.rack.Power(t.Context(), agent, "cut"); err != nil {
		t.Fatal(err)
	}
	moved := func(ctx context.Context) error { return s.placed(ctx, 2, agent) }
	s.eventually("both instances run without "+agent, moveLimit, moved)
	if err := s.rack.Power(t.Context(), agent, "on"); err != nil {
		t.Fatal(err)
	}
	s.eventually(agent+" is back", 3*time.Minute, func(ctx context.Context) error { return s.alive(ctx, agent) })
	s.eventually("nothing was started twice", time.Minute, moved)
}

// alive wants the scheduler to believe in a node.
func (s *site) alive(ctx context.Context, name string) error {
	nodes, err := s.cluster.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Node == name && n.Alive {
			return nil
		}
	}
	return fmt.Errorf("%s is not alive: %+v", name, nodes)
}
