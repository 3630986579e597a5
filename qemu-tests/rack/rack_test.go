package rack

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/child"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// The test's own binary plays the programs of a rack: a provisioner that serves
// its socket only, and a daemon to be killed.
func TestMain(m *testing.M) {
	switch os.Getenv("RACK_TEST_PLAYS") {
	case "provisioner":
		playProvisioner(os.Args[1])
	case "dead provisioner":
		fmt.Fprintln(os.Stderr, "port 67 is taken")
		os.Exit(1)
	case "daemon":
		playDaemon(os.Args[1])
	default:
		os.Exit(m.Run())
	}
}

func playProvisioner(socket string) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/machines", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "second"})
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Machine{Name: "m1", State: api.MachineBooting, Address: "10.77.0.11"})
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	_ = http.Serve(l, mux)
}

func playDaemon(dir string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	r, err := Up(ctx, testConfig(dir))
	if err == nil {
		err = r.Serve(ctx)
		r.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func testConfig(dir string) Config {
	os.Setenv("RACK_TEST_PLAYS", "provisioner") // inherited by what the rack starts
	machines, err := ParseRack("m1:master:mem=128")
	if err != nil {
		panic(err)
	}
	return Config{
		Dir: dir, Machines: machines, Tokens: map[string]string{"m1": "id.secret@sha256:00"},
		Program: "/proc/self/exe", Args: []string{"prov.sock"}, ProvisionerSocket: filepath.Join(dir, "prov.sock"),
		Record: true,
	}
}

func needRack(t *testing.T) Config {
	t.Helper()
	c := testConfig(filepath.Join(t.TempDir(), "rack"))
	t.Cleanup(func() { os.Unsetenv("RACK_TEST_PLAYS") })
	if self, err := os.Executable(); err == nil {
		c.Program = self
	}
	if err := Preflight(c); err != nil {
		t.Skipf("no rack here: %v", err)
	}
	return c
}

// gone fails unless nothing of the rack is left.
func gone(t *testing.T, c Config, ids ...child.Ident) {
	t.Helper()
	for _, id := range ids {
		if id.Alive() {
			t.Errorf("process %d is alive", id.PID)
		}
	}
	if _, err := os.Stat("/run/netns/" + spaceName(c.Dir)); !os.IsNotExist(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
	left, _ := os.ReadDir(c.Dir)
	for _, f := range left {
		if f.Name() != "prov.sock" && f.Name() != "mine" {
			t.Errorf("%s is left in the folder", f.Name())
		}
	}
}

func processes(t *testing.T, dir string) []child.Ident {
	t.Helper()
	all, err := readProcesses(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ids []child.Ident
	for _, id := range all {
		ids = append(ids, id)
	}
	return ids
}

func TestRackLives(t *testing.T) {
	c := needRack(t)
	r, err := Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { served <- r.Serve(ctx) }()

	if _, err := Up(t.Context(), c); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second rack in the same folder: %v", err)
	}
	cl := Dial(c.Dir)
	defer cl.Close()
	awaitKind(t, cl, "m1", KindDHCP)
	if err := cl.Power(t.Context(), "m1", "cut"); err != nil {
		t.Fatal(err)
	}
	awaitKind(t, cl, "m1", KindOff)
	if err := cl.Power(t.Context(), "m1", "on"); err != nil {
		t.Fatal(err)
	}
	s, err := cl.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Machines) != 1 || !s.Machines[0].On || s.Namespace == "" {
		t.Errorf("status is %+v", s)
	}
	oem, err := os.ReadFile(filepath.Join(c.Dir, machinesDir, "m1", "oem-0"))
	if err != nil || string(oem) != "ingot.token=second" {
		t.Errorf("powered on again without a fresh token: %v", err)
	}
	if err := cl.Power(t.Context(), "nobody", "on"); api.KindOf(err) != api.KindNotFound {
		t.Errorf("power of an unknown machine: %v", err)
	}
	if err := cl.Power(t.Context(), "m1", "sing"); api.KindOf(err) != api.KindBadRequest {
		t.Errorf("an unknown action: %v", err)
	}
	ids := processes(t, c.Dir)
	if len(ids) != 2 {
		t.Errorf("%d processes are written down, want 2", len(ids))
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := Down(c.Dir); err != nil {
		t.Error(err)
	}
	gone(t, c, ids...)
	if err := Down(c.Dir); err != nil {
		t.Errorf("a second Down: %v", err)
	}
}

// awaitKind waits for an event of a machine.
func awaitKind(t *testing.T, cl *Client, machine, kind string) Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for e, err := range cl.Events(ctx) {
		if err != nil {
			if strings.Contains(err.Error(), "connect") || strings.Contains(err.Error(), "ask the rack") {
				return awaitKind(t, cl, machine, kind) // its socket comes a moment after it
			}
			t.Fatal(err)
		}
		if e.Machine == machine && e.Kind == kind {
			return e
		}
	}
	t.Fatalf("%s of %s never came", kind, machine)
	return Event{}
}

func TestDownAfterTheDaemonWasKilled(t *testing.T) {
	c := needRack(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, c.Dir)
	cmd.Env = append(os.Environ(), "RACK_TEST_PLAYS=daemon")
	cmd.Stderr = os.Stderr
	d, err := child.Start(cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	cl := Dial(c.Dir)
	defer cl.Close()
	awaitSocket(t, c.Dir)
	awaitKind(t, cl, "m1", KindPowered)
	ids := append(processes(t, c.Dir), d.ID)
	if s, err := Load(c.Dir); err != nil || !s.Running || s.Daemon != d.ID {
		t.Errorf("loaded %+v, %v", s, err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(c.Dir); err != nil || s.Running {
		t.Errorf("loaded %+v, %v", s, err)
	}
	if err := Down(c.Dir); err != nil {
		t.Fatal(err)
	}
	gone(t, c, ids...)
	if _, err := os.Stat(filepath.Join(c.Dir, "mine")); err != nil {
		t.Errorf("somebody's file is gone: %v", err)
	}
}

func awaitSocket(t *testing.T, dir string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if _, err := os.Stat(filepath.Join(dir, controlSock)); err == nil {
			return
		}
	}
	t.Fatal("the daemon never served")
}

func TestUpThatFailsLeavesNothing(t *testing.T) {
	c := needRack(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	noToken := c
	noToken.Tokens = nil
	port := c
	port.Forward = taken.Addr().String()
	badRTC := c
	badRTC.Machines = []Machine{c.Machines[0]}
	badRTC.Machines[0].RTC = "yesterday"
	for want, c := range map[string]Config{
		"no token for machine m1": noToken,
		"is taken or not ours":    port,
		"power on m1: ":           badRTC,
	} {
		if _, err := Up(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		gone(t, c)
	}
	os.Setenv("RACK_TEST_PLAYS", "dead provisioner")
	if _, err := Up(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the provisioner ended: port 67 is taken") {
		t.Errorf("a provisioner that dies: %v", err)
	}
	gone(t, c)
	os.Setenv("RACK_TEST_PLAYS", "provisioner")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Ctrl-C at once
	if _, err := Up(ctx, c); err == nil {
		t.Error("Up in an ended context works")
	}
	gone(t, c)
}

func TestPreflightNamesWhatIsMissing(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := Preflight(Config{}); err == nil || !strings.Contains(err.Error(), "run as root") {
			t.Errorf("not root: %v", err)
		}
		return
	}
	t.Setenv("PATH", t.TempDir())
	err := Preflight(Config{Machines: []Machine{{Name: "a", Firmware: vm.BIOS, MemoryMB: 1 << 30}}})
	for _, want := range []string{"apt-get install qemu-system-x86", "take fewer"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
