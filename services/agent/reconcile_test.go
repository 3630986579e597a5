package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-os/ingot/api"
)

func TestReconcile(t *testing.T) {
	now := time.Unix(1000, 0)
	seen := func(s api.TaskState) map[string]api.AllocStatus {
		return map[string]api.AllocStatus{"a": {ID: "a", State: s}}
	}
	want := []api.Alloc{{ID: "a"}}
	yes := map[string]bool{"a": true}
	for _, tc := range []struct {
		name string
		s    situation
		do   verb
	}{
		{"new", situation{Desired: want}, doStart},
		{"twice in the set", situation{Desired: []api.Alloc{{ID: "a"}, {ID: "a"}}}, doStart},
		{"left by a crash", situation{Desired: want, Observed: seen(api.TaskStaging)}, doStart},
		{"runs", situation{Desired: want, Observed: seen(api.TaskRunning)}, ""},
		{"unhealthy", situation{Desired: want, Observed: seen(api.TaskRunning), Doomed: yes}, doStop},
		{"ended", situation{Desired: want, Observed: seen(api.TaskFailed)}, doSettle},
		{"ended and noted", situation{Desired: want, Observed: seen(api.TaskFailed), Settled: yes}, doRemove},
		{"noted, staging left", situation{Desired: want, Observed: seen(api.TaskStaging), Settled: yes}, doRemove},
		{"noted but runs", situation{Desired: want, Observed: seen(api.TaskRunning), Settled: yes}, doStop},
		{"never again", situation{Desired: want, Settled: yes}, ""},
		{"busy", situation{Desired: want, Busy: yes}, ""},
		{"too early", situation{Desired: want, NotUntil: map[string]time.Time{"a": now.Add(1)}}, ""},
		{"late enough", situation{Desired: want, NotUntil: map[string]time.Time{"a": now}}, doStart},
		{"unwanted runs", situation{Observed: seen(api.TaskRunning)}, doStop},
		{"unwanted ended", situation{Observed: seen(api.TaskFinished)}, doRemove},
		{"unwanted staging", situation{Observed: seen(api.TaskStaging)}, doRemove},
		{"unwanted, busy", situation{Observed: seen(api.TaskRunning), Busy: yes}, ""},
		{"nothing", situation{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var expect []action
			if tc.do != "" {
				expect = []action{{tc.do, "a"}}
			}
			if d := cmp.Diff(expect, reconcile(tc.s, now)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPulse(t *testing.T) {
	hc := api.HealthCheck{GracePeriodSeconds: 10, MaxConsecutiveFailures: 2}
	bad := api.Errorf(api.KindInternal, "bad")
	type beat struct {
		age  time.Duration
		fail bool
	}
	const s = time.Second
	for _, tc := range []struct {
		name  string
		hc    api.HealthCheck
		beats []beat
		want  pulse
		end   bool
	}{
		{"in grace, nothing is known", hc, []beat{{1 * s, true}, {9 * s, true}}, pulse{}, false},
		{"after grace, one failure", hc, []beat{{9 * s, true}, {10 * s, true}}, pulse{known: true, failures: 1}, false},
		{"too many", hc, []beat{{10 * s, true}, {11 * s, true}}, pulse{known: true, failures: 2}, true},
		{"success resets", hc, []beat{{10 * s, true}, {11 * s, false}}, pulse{known: true, alive: true}, false},
		{"failures in grace count after a success", hc, []beat{{1 * s, false}, {2 * s, true}, {3 * s, true}}, pulse{known: true, failures: 2}, true},
		{"zero never ends it", api.HealthCheck{}, []beat{{1 * s, true}, {2 * s, true}, {3 * s, true}}, pulse{known: true, failures: 3}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p pulse
			var end bool
			for _, b := range tc.beats {
				var err error
				if b.fail {
					err = bad
				}
				p, end = p.feel(tc.hc, b.age, err)
			}
			if p != tc.want || end != tc.end {
				t.Errorf("got %+v, end %v", p, end)
			}
		})
	}
}
