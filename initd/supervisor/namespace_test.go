package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

// node is an initd that runs as PID 1 of namespaces of its own.
type node struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *bytes.Buffer
	http *http.Client
}

// needNamespaces skips where the real thing cannot run.
func needNamespaces(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces of its own")
	}
	if !cgroup2Works(t) {
		t.Skip("needs a kernel with cgroup version 2")
	}
}

func cgroup2Works(t *testing.T) bool {
	text, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(text, []byte("cgroup2"))
}

// boot builds initd and starts it with the units of a text archive: lines
// "-- NAME --" before each file.
func boot(t *testing.T, unitFiles string) *node {
	t.Helper()
	needNamespaces(t)
	root := makeRoot(t, unitFiles)
	n := &node{t: t, out: &bytes.Buffer{}}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(self)
	n.cmd.Env = []string{"TEST_ENTER_ROOT=" + root}
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP, Unshareflags: syscall.CLONE_NEWNS,
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", n.path("/run/ingot/initd.sock"))
	}}}
	t.Cleanup(n.end)
	return n
}

func makeRoot(t *testing.T, unitFiles string) string {
	root := t.TempDir()
	for _, d := range []string{"sbin", "bin", "etc/units", "dev", "proc", "sys", "run", "var", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	static(t, "build", "-o", filepath.Join(root, "sbin/initd"), "github.com/ingot-os/ingot/cmd/initd")
	static(t, "test", "-c", "-vet=off", "-o", filepath.Join(root, "bin/helper"), ".")
	write(t, filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/:\ntest:x:4711:4712::/:\n"), 0o644)
	for part := range strings.SplitSeq(unitFiles, "-- ") {
		name, body, ok := strings.Cut(part, " --\n")
		if ok {
			write(t, filepath.Join(root, "etc/units", name), []byte(body), 0o644)
		}
	}
	return root
}

// static runs the go command so that the result needs no library in the root.
func static(t *testing.T, args ...string) {
	t.Helper()
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", args[0], err, out)
	}
}

func write(t *testing.T, name string, text []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, text, mode); err != nil {
		t.Fatal(err)
	}
}

// path is a file of the node, seen from outside.
func (n *node) path(p string) string {
	return fmt.Sprintf("/proc/%d/root%s", n.cmd.Process.Pid, p)
}

// end kills PID 1, and with it the whole namespace.
func (n *node) end() {
	if n.t.Failed() {
		n.dump()
	}
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	own, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				removeGroups(filepath.Join(mount, strings.TrimSpace(path), "ingot"))
			}
		}
	}
}

// removeGroups leaves groups that still have processes, another test's.
func removeGroups(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeGroups(filepath.Join(dir, e.Name()))
		}
	}
	_ = unix.Rmdir(dir)
}

func (n *node) dump() {
	log, _ := os.ReadFile(n.path("/var/log/ingot/journal"))
	n.t.Logf("console:\n%s\njournal:\n%s", n.out, log)
}

// eventually waits for a condition, up to 15 s.
func (n *node) eventually(what string, ok func() bool) {
	n.t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			n.t.Fatalf("timed out waiting until %s; now %+v", what, n.units())
		}
	}
}

func (n *node) units() map[string]api.UnitStatus {
	out := map[string]api.UnitStatus{}
	r, err := n.http.Get("http://initd/v1/units")
	if err != nil {
		return out
	}
	defer r.Body.Close()
	var list []api.UnitStatus
	if json.NewDecoder(r.Body).Decode(&list) != nil {
		return out
	}
	for _, u := range list {
		out[u.Unit] = u
	}
	return out
}

func (n *node) await(unit, sub string) api.UnitStatus {
	n.t.Helper()
	n.eventually(unit+" is "+sub, func() bool { return n.units()[unit].Sub == sub })
	return n.units()[unit]
}

func (n *node) post(path string) {
	n.t.Helper()
	r, err := n.http.Post("http://initd"+path, "", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode >= 300 {
		b, _ := io.ReadAll(r.Body)
		n.t.Fatalf("POST %s: %s: %s", path, r.Status, b)
	}
}

func (n *node) log(unit string) string {
	r, err := n.http.Get("http://initd/v1/log?lines=0&unit=" + unit)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

// connect talks to the echo service and returns its pid.
func (n *node) connect() string {
	n.t.Helper()
	c, err := net.Dial("unix", n.path("/run/echo.sock"))
	if err != nil {
		n.t.Fatalf("connect to the activated service: %v", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		n.t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		n.t.Fatalf("read from the activated service: %v", err)
	}
	return strings.TrimSpace(line)
}

// supervisor is the present supervisor's pid as the host sees it.
func (n *node) supervisor() int {
	p := n.cmd.Process.Pid
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p))
	for _, f := range tasks {
		text, _ := os.ReadFile(f)
		for field := range strings.FieldsSeq(string(text)) {
			cmdline, _ := os.ReadFile("/proc/" + field + "/cmdline")
			if strings.HasPrefix(string(cmdline), "initd\x00supervise") {
				pid, _ := strconv.Atoi(field)
				return pid
			}
		}
	}
	return 0
}

// crash kills the supervisor and waits for the next one to answer.
func (n *node) crash() {
	n.t.Helper()
	old := n.supervisor()
	if old == 0 {
		n.t.Fatal("no supervisor found")
	}
	if err := unix.Kill(old, unix.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
	n.http.CloseIdleConnections()
	n.eventually("a new supervisor answers", func() bool {
		now := n.supervisor()
		return now != 0 && now != old && len(n.units()) > 0
	})
}

const story = `
-- boot.target --
[Unit]
Wants=plain.service ready.service once.service echo.socket tick.timer talk.service broken.service who.service
-- plain.service --
[Service]
ExecStart=/bin/helper wait
Restart=always
RestartSec=10ms
-- ready.service --
[Unit]
After=plain.service
[Service]
Type=notify
ExecStartPre=/bin/helper say before
ExecStart=/bin/helper ready
Restart=on-failure
RestartSec=10ms
-- once.service --
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/helper say "hello from ${WHO}"
Environment=WHO=once
-- talk.service --
[Service]
ExecStart=/bin/helper talk
-- echo.socket --
[Socket]
ListenStream=/run/echo.sock
-- echo.service --
[Service]
Type=notify
ExecStart=/bin/helper echo
-- tick.timer --
[Timer]
OnActiveSec=50ms
OnUnitActiveSec=1h
-- tick.service --
[Service]
Type=oneshot
ExecStart=/bin/helper say tick
-- broken.service --
[Unit]
StartLimitBurst=3
[Service]
ExecStart=/bin/helper fail
Restart=on-failure
RestartSec=1ms
-- who.service --
[Service]
Type=oneshot
RemainAfterExit=yes
User=test
RuntimeDirectory=who
WorkingDirectory=/run/who
ExecStart=/bin/helper whoami
-- never.service --
[Service]
Type=notify
ExecStart=/bin/helper never
TimeoutStartSec=200ms
TimeoutStopSec=200ms
`

func TestNodeLivesAndSurvivesItsSupervisor(t *testing.T) {
	n := boot(t, story)
	n.await("boot.target", "active")
	n.await("once.service", "exited")
	n.await("ready.service", "running")

	t.Run("journal", func(t *testing.T) {
		n.eventually("hello is in the journal", func() bool { return strings.Contains(n.log("once.service"), "hello from once") })
		n.eventually("the user is right", func() bool {
			return strings.Contains(n.log("who.service"), "uid=4711 gid=4712 dir=/run/who run=/run/who")
		})
	})
	t.Run("start limit", func(t *testing.T) {
		n.eventually("broken gives up", func() bool { return n.units()["broken.service"].Result == "start-limit-hit" })
	})
	t.Run("timer", func(t *testing.T) {
		n.eventually("tick ran", func() bool { return strings.Contains(n.log("tick.service"), "tick") })
		n.await("tick.timer", "waiting")
	})
	t.Run("socket activation and idling", func(t *testing.T) {
		first := n.connect()
		n.await("echo.service", "dead")
		n.await("echo.socket", "listening")
		if second := n.connect(); first == second {
			t.Errorf("service pid %s twice: it did not exit in between", first)
		}
		n.await("echo.socket", "listening")
	})
	t.Run("restart after a kill", func(t *testing.T) {
		before := n.units()["plain.service"]
		n.post("/v1/units/plain.service/kill?signal=9")
		n.eventually("plain runs again", func() bool {
			u := n.units()["plain.service"]
			return u.Sub == "running" && u.MainPID != before.MainPID && u.Restarts == 1
		})
	})
	t.Run("start timeout", func(t *testing.T) {
		n.post("/v1/units/never.service/start")
		if u := n.await("never.service", "failed"); u.Result != "timeout" {
			t.Errorf("result %q, want timeout", u.Result)
		}
	})
	t.Run("supervisor killed", func(t *testing.T) { supervisorKilled(t, n) })
	t.Run("power off", func(t *testing.T) {
		n.post("/v1/power?action=poweroff")
		done := make(chan error, 1)
		go func() { done <- n.cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			t.Fatal("PID 1 did not power off")
		}
	})
}

func supervisorKilled(t *testing.T, n *node) {
	before := n.units()
	for range 3 {
		n.crash()
	}
	after := n.units()
	for _, unit := range []string{"plain.service", "ready.service", "talk.service"} {
		if before[unit].MainPID != after[unit].MainPID || after[unit].Sub != "running" {
			t.Errorf("%s: main process was %d, now %d (%s)", unit, before[unit].MainPID, after[unit].MainPID, after[unit].Sub)
		}
		if before[unit].Restarts != after[unit].Restarts {
			t.Errorf("%s was restarted", unit)
		}
	}
	if u := after["once.service"]; u.Sub != "exited" || u.Invocation != before["once.service"].Invocation {
		t.Errorf("once.service ran again: %+v", u)
	}
	n.connect() // the socket still activates
	n.await("echo.socket", "listening")

	lines := strings.Count(n.log("talk.service"), "\n")
	n.eventually("talk is still heard", func() bool { return strings.Count(n.log("talk.service"), "\n") > lines })

	// An adopted service's end comes through PID 1.
	n.post("/v1/units/ready.service/kill?signal=9")
	n.eventually("ready runs again", func() bool {
		u := n.units()["ready.service"]
		return u.Sub == "running" && u.MainPID != after["ready.service"].MainPID && u.Restarts == 1
	})
	n.post("/v1/units/talk.service/stop?wait=1")
	if u := n.units()["talk.service"]; u.Active != "inactive" {
		t.Errorf("talk.service is %s after a stop", u.Active)
	}
}
