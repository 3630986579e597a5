package supervisor

import (
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"
)

func service(unit, keys string) string {
	return "[Unit]\n" + unit + "\n[Service]\n" + keys + "\n"
}

func TestOrderAndReadiness(t *testing.T) {
	f := simulate(t, map[string]string{
		"boot.target": "[Unit]\nWants=a.service b.service\n",
		"a.service":   service("", "Type=notify\nExecStartPre=/pre\nExecStart=/a\nExecStop=/bye"),
		"b.service":   service("Requires=a.service\nAfter=a.service", "ExecStart=/b"),
	})
	f.start("boot.target")
	f.want("pre=101", "a.service=start-pre")
	f.exit(101, 0)
	f.want("a=102", "a.service=start", "b.service=dead")
	f.e.Handle(Event{Kind: EventNotify, Unit: "a.service", Invocation: "stale", PID: 102, Text: "READY=1"})
	f.want("", "a.service=start")
	f.e.Handle(Event{Kind: EventNotify, Unit: "a.service", Invocation: f.e.states["a.service"].Invocation, PID: 102, Text: "READY=1"})
	f.want("b=103", "a.service=running", "b.service=running", "boot.target=active")
	f.stop("a.service") // b first: it requires and follows a
	f.want("signal:103:15", "a.service=running", "b.service=stop-sigterm")
	f.exit(103, int(syscall.SIGTERM))
	f.want("bye=104", "a.service=stop", "b.service=dead")
	f.exit(104, 0)
	f.want("signal:102:15", "a.service=stop-sigterm")
	f.pass(90 * time.Second)
	f.want("signal:102:9 signal:102:9", "a.service=final-sigkill")
	f.exit(102, int(syscall.SIGKILL))
	f.want("", "a.service=failed")
}

func TestDependencyFails(t *testing.T) {
	f := simulate(t, map[string]string{
		"a.service": service("", "Type=oneshot\nExecStart=/a"),
		"b.service": service("Requires=a.service\nAfter=a.service", "ExecStart=/b"),
	})
	f.start("b.service")
	f.exit(101, 3<<8)
	f.want("a=101", "a.service=failed", "b.service=failed")
	if r := f.e.states["b.service"].Result; r != "dependency" {
		t.Errorf("result %q", r)
	}
}

func TestDirectRestartKeepsTheJob(t *testing.T) {
	f := simulate(t, map[string]string{
		"a.service": service("", "Type=oneshot\nRemainAfterExit=yes\nExecStart=/a\nRestart=on-failure\nRestartSec=1\nRestartMode=direct\nRestartSteps=2\nRestartMaxDelaySec=4"),
		"b.service": service("Requires=a.service\nAfter=a.service", "ExecStart=/b"),
	})
	f.start("b.service")
	f.exit(101, 1<<8)
	f.want("a=101", "a.service=auto-restart", "b.service=dead")
	f.pass(time.Second)
	f.exit(102, 1<<8)
	f.want("a=102", "a.service=auto-restart")
	f.pass(1900 * time.Millisecond)
	f.want("", "a.service=auto-restart") // 1 s, 2 s, 4 s, 4 s
	f.pass(100 * time.Millisecond)
	f.exit(103, 0)
	f.want("a=103 b=104", "a.service=exited", "b.service=running")
}

func TestSocketGoesBackToListening(t *testing.T) {
	f := simulate(t, map[string]string{
		"s.socket":  "[Socket]\nListenStream=80\n",
		"s.service": service("", "ExecStart=/s"),
	})
	f.start("s.socket")
	f.want("watch:s.socket", "s.socket=listening")
	f.e.Handle(Event{Kind: EventReady, Unit: "s.socket"})
	f.want("s=101", "s.socket=running", "s.service=running")
	f.pass(time.Second)
	f.exit(101, 0)
	f.want("watch:s.socket", "s.socket=listening", "s.service=dead")
	f.e.Handle(Event{Kind: EventReady, Unit: "s.socket"})
	f.exit(102, 1<<8) // a service that fails is not started in a loop
	f.want("s=102", "s.socket=listening", "s.service=failed")
	f.pass(activationPause)
	f.want("watch:s.socket")
}

func TestTimerComesRound(t *testing.T) {
	f := simulate(t, map[string]string{
		"t.timer":   "[Timer]\nOnActiveSec=10\nOnUnitActiveSec=60\n",
		"t.service": service("", "Type=oneshot\nExecStart=/t"),
	})
	f.start("t.timer")
	f.pass(10 * time.Second)
	f.want("t=101", "t.timer=running", "t.service=start")
	f.pass(5 * time.Second)
	f.exit(101, 0)
	f.want("", "t.timer=waiting", "t.service=dead")
	f.pass(54 * time.Second)
	f.want("")
	f.pass(time.Second)
	f.want("t=102")
	f.exit(102, 1<<8) // a failed run does not end the timer
	f.pass(time.Minute)
	f.want("t=103", "t.timer=running")
}

func TestTargetStopTakesItsParts(t *testing.T) {
	f := simulate(t, map[string]string{
		"r.target":  "[Unit]\nWants=a.service\n",
		"a.service": service("PartOf=r.target", "ExecStart=/a"),
	})
	f.start("r.target")
	f.stop("r.target")
	f.exit(101, int(syscall.SIGTERM))
	f.want("a=101 signal:101:15", "a.service=dead", "r.target=dead")
}

func TestPowerStopsEverything(t *testing.T) {
	f := simulate(t, map[string]string{"a.service": service("", "ExecStart=/a\nRestart=always")})
	f.start("a.service")
	f.do(func() error { return f.e.Power("reboot") })
	f.want("a=101 signal:101:15", "a.service=stop-sigterm")
	f.exit(101, 0)
	f.want("power:reboot", "a.service=dead")
	if err := f.e.Start("a.service", nil); err == nil {
		t.Error("a start during shutdown is not refused")
	}
}

// TestRecoverAtEveryStep lets a second engine take over from each snapshot of a
// boot; none of them may start a program that runs already.
func TestRecoverAtEveryStep(t *testing.T) {
	files := map[string]string{
		"boot.target": "[Unit]\nWants=a.service b.service s.socket\n",
		"a.service":   service("", "ExecStartPre=/pre\nExecStart=/a"),
		"b.service":   service("Requires=a.service\nAfter=a.service", "ExecStart=/b"),
		"s.socket":    "[Socket]\nListenStream=80\n",
	}
	f := simulate(t, files)
	f.start("boot.target")
	f.exit(101, 0)
	f.want("pre=101 watch:s.socket a=102 b=103", "boot.target=active")
	for i := range f.saves {
		// The supervisor dies right after this snapshot, and right before the next.
		recovered(t, f, files, i, f.saves[i].alive)
		recovered(t, f, files, i, f.saves[min(i+1, len(f.saves)-1)].alive)
	}
}

func recovered(t *testing.T, f *fake, files map[string]string, i int, alive map[int]Event) {
	t.Helper()
	g := simulate(t, files)
	g.alive, g.prog, g.pid = maps.Clone(alive), maps.Clone(f.prog), f.pid
	exits := map[int]syscall.WaitStatus{}
	if _, lives := alive[101]; !lives {
		exits[101] = 0
	}
	if err := g.e.Recover(f.saves[i].snap, exits); err != nil {
		t.Fatalf("snapshot %d: %v", i, err)
	}
	for _, pid := range slices.Sorted(maps.Keys(g.alive)) {
		if g.prog[pid] == "/pre" {
			g.exit(pid, 0)
		}
	}
	g.take()
	g.want("", "a.service=running", "b.service=running", "boot.target=active", "s.socket=listening")
	count := map[string]int{}
	for pid, ev := range g.alive {
		count[ev.Unit]++
		if ev.Invocation != g.e.states[ev.Unit].Invocation {
			t.Errorf("snapshot %d: process %d belongs to no invocation", i, pid)
		}
	}
	if count["a.service"] != 1 || count["b.service"] != 1 {
		t.Errorf("snapshot %d: processes by unit %v, want one each", i, count)
	}
}
