package stories

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// One rack for all of it, because a rack costs minutes: m1 boots by BIOS, a1 by
// UEFI, a2 by BIOS with a clock that says 1970. Chapters build on each other and
// end with the power of a1.
func TestCluster(t *testing.T) {
	s := up(t, "m1:master a1:agent:uefi a2:agent:bios:rtc=1970-01-01")
	s.spread()
	user := s.use()
	defer user.stop(t)
	chapter := func(name string, tell func(*testing.T, *site)) {
		t.Run(name, func(t *testing.T) {
			of := *s
			of.T = t
			defer func() { s.seen = of.seen }()
			defer user.check(t)
			tell(t, &of)
		})
	}
	chapter("boots_over_the_network", bootsOverTheNetwork)
	chapter("serves_on_both_agents", servesOnBothAgents)
	chapter("bad_apps_are_refused_or_explained", badApps)
	chapter("stranger_is_pending", strangerIsPending)
	chapter("agent_restart_keeps_containers", agentRestart)
	chapter("containerd_kill_keeps_containers", containerdKill)
	chapter("scheduler_restart_loses_nothing", schedulerRestart)
	chapter("power_cut_moves_instances", powerCut)
}

// Each machine went the whole way by itself: firmware, DHCP, download, init,
// certificate, target of its role.
func bootsOverTheNetwork(t *testing.T, s *site) {
	for _, m := range []struct{ name, firmware, target string }{
		{"m1", "bios-ipxe", "master.target"},
		{"a1", "uefi-http", "agent.target"},
		{"a2", "bios-ipxe", "agent.target"}, // and its clock said 1970
	} {
		on := s.await(m.name, rack.KindPowered, time.Second)
		dhcp := s.await(m.name, rack.KindDHCP, time.Second)
		if !strings.Contains(dhcp.Text, m.firmware) {
			t.Errorf("%s booted as %q, want %s", m.name, dhcp.Text, m.firmware)
		}
		start := s.await(m.name, rack.KindInit, time.Second)
		in := s.await(m.name, rack.KindEnrolled, time.Second)
		t.Logf("%s: DHCP %.1f s, init %.1f s, enrolled %.1f s after power-on", m.name,
			dhcp.Time.Sub(on.Time).Seconds(), start.Time.Sub(on.Time).Seconds(), in.Time.Sub(on.Time).Seconds())
		st := must(s.cluster.Node(m.name).Unit(t.Context(), m.target))(t)
		if st.Active != "active" {
			t.Errorf("%s of %s is %s", m.target, m.name, st.Active)
		}
	}
}

func servesOnBothAgents(t *testing.T, s *site) {
	s.eventually("two healthy instances", time.Minute, func(ctx context.Context) error { return s.placed(ctx, 2, "") })
	for _, n := range []string{"m1", "a1", "a2"} {
		st := must(s.cluster.Node(n).Status(t.Context()))(t)
		t.Logf("%s: %s, %d MB used of %d, clock %s", n, st.State, st.MemUsed>>20, st.MemTotal>>20, st.Clock)
		if st.Clock != "synchronized" {
			t.Errorf("the clock of %s is %s", n, st.Clock)
		}
		now := must(unitLog(t.Context(), s.cluster.Node(n)))(t)
		if d := time.Since(now).Abs(); d > 10*time.Minute {
			t.Errorf("the journal of %s ends at %s", n, now)
		}
	}
}

// unitLog is the time of a node's newest journal record.
func unitLog(ctx context.Context, n *client.Node) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var newest time.Time
	err := n.Log(ctx, client.LogQuery{Lines: 1}, func(e api.LogEntry) error { newest = e.Time; return nil })
	if err == nil && newest.IsZero() {
		err = errors.New("the journal is empty")
	}
	return newest, err
}

// A machine without a token, and one that replays the token of a1, are refused
// and listed as pending with the reason. Nothing is given to them.
func strangerIsPending(t *testing.T, s *site) {
	used := tokenOf(t, s, "a1")
	for _, x := range []rack.Stranger{
		{Machine: rack.Machine{Name: "x1", Firmware: "bios", MemoryMB: 512, NoToken: true}},
		{Machine: rack.Machine{Name: "x2", Firmware: "bios", MemoryMB: 512}, Token: used},
	} {
		if err := s.rack.Add(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		mac := ""
		for _, m := range must(s.rack.Status(t.Context()))(t).Machines {
			if m.Name == x.Name {
				mac = m.MAC
			}
		}
		var m api.Machine
		took := s.eventually(x.Name+" is pending", 90*time.Second, func(ctx context.Context) (err error) {
			if m, err = s.machine(ctx, mac); err == nil && m.State != api.MachinePending {
				err = fmt.Errorf("it is %s", m.State)
			}
			return err
		})
		t.Logf("%s pending after %.1f s: %s", x.Name, took.Seconds(), m.Reason)
		if m.Reason == "" || x.Token != "" && !strings.Contains(m.Reason, "used") {
			t.Errorf("%s is pending because %q", x.Name, m.Reason)
		}
		if err := s.rack.Power(t.Context(), x.Name, "cut"); err != nil {
			t.Error(err)
		}
	}
	if n := len(must(s.cluster.Nodes(t.Context()))(t)); n > 3 {
		t.Errorf("%d nodes, a stranger among them", n)
	}
}

// tokenOf reads a machine's one-time token where the rack hands it to QEMU.
func tokenOf(t *testing.T, s *site, name string) string {
	t.Helper()
	oem := must(os.ReadFile(filepath.Join(s.dir, "machines", name, "oem-0")))(t)
	token, ok := strings.CutPrefix(string(oem), api.TokenPrefix)
	if !ok {
		t.Fatalf("%s has no token", name)
	}
	return token
}

func agentRestart(t *testing.T, s *site) {
	s.needTaskOn("a1")
	before := must(s.tasks(t.Context()))(t)
	was := must(s.cluster.Node("a1").Unit(t.Context(), "agent.service"))(t)
	must(s.cluster.Node("a1").Act(t.Context(), "agent.service", client.Restart))(t)
	s.restarted("a1", "agent.service", was)
	s.sameTasks(before)
}

func containerdKill(t *testing.T, s *site) {
	s.needTaskOn("a2")
	before := must(s.tasks(t.Context()))(t)
	was := must(s.cluster.Node("a2").Unit(t.Context(), "containerd.service"))(t)
	must(s.cluster.Node("a2").Kill(t.Context(), "containerd.service", 9))(t)
	s.restarted("a2", "containerd.service", was)
	s.sameTasks(before)
}

func schedulerRestart(t *testing.T, s *site) {
	before := must(s.tasks(t.Context()))(t)
	was := must(s.cluster.Node("m1").Unit(t.Context(), "scheduler.service"))(t)
	must(s.cluster.Node("m1").Act(t.Context(), "scheduler.service", client.Restart))(t)
	s.restarted("m1", "scheduler.service", was)
	s.sameTasks(before)
}

// restarted waits until a unit is active in a process other than before.
func (s *site) restarted(node, unit string, was api.UnitStatus) {
	s.Helper()
	took := s.eventually(unit+" of "+node+" is active again", time.Minute, func(ctx context.Context) error {
		is, err := s.cluster.Node(node).Unit(ctx, unit)
		if err != nil {
			return err
		}
		if is.Active != "active" || is.MainPID == was.MainPID {
			return fmt.Errorf("it is %s, process %d", is.Active, is.MainPID)
		}
		return nil
	})
	s.Logf("%s of %s is active again after %.1f s", unit, node, took.Seconds())
}

// moveLimit is the lease of a node, and time to start a container elsewhere
// under emulation.
const moveLimit = api.LeaseSeconds*time.Second + 48*time.Second

func powerCut(t *testing.T, s *site) {
	s.needTaskOn("a1")
	if err := s.rack.Power(t.Context(), "a1", "cut"); err != nil {
		t.Fatal(err)
	}
	took := s.eventually("both instances run without a1", moveLimit, func(ctx context.Context) error { return s.placed(ctx, 2, "a1") })
	t.Logf("both instances run healthy on a2 %.1f s after the power of a1 was cut", took.Seconds())
}
