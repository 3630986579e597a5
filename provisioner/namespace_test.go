package provisioner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/provisioner/site"
)

// configEnv makes this test binary the provisioner itself, so that a test can
// start it inside a network namespace.
const configEnv = "INGOT_TEST_PROVISIONER_CONFIG"

func TestMain(m *testing.M) {
	path := os.Getenv(configEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := Main(ctx, path, nil); err != nil {
		fmt.Fprintln(os.Stderr, "provisioner:", err)
		os.Exit(1)
	}
}

const (
	testAddress = "10.78.0.1"
	knownMAC    = "52:54:00:00:00:0b"
)

// lab is a pair of namespaces: the provisioner's and a machine's.
type lab struct {
	t            *testing.T
	site, client string
	dir          string
	config       *Config
	tokens       map[string]string
}

func (w *lab) ip(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// in is a command inside a namespace.
func (w *lab) in(ctx context.Context, ns string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", ns}, args...)...)
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: package iproute2")
	}
	w := &lab{t: t, dir: t.TempDir(), site: fmt.Sprintf("ingot-ps%d", os.Getpid()), client: fmt.Sprintf("ingot-pc%d", os.Getpid())}
	for _, ns := range []string{w.site, w.client} {
		w.ip("netns", "add", ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		w.ip("-n", ns, "link", "set", "lo", "up")
	}
	w.ip("-n", w.site, "link", "add", "p0", "type", "veth", "peer", "name", "c0", "netns", w.client)
	w.ip("netns", "exec", w.client, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/c0/accept_dad")
	w.ip("-n", w.client, "link", "set", "c0", "address", knownMAC, "up")
	w.ip("netns", "exec", w.site, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/p0/accept_dad")
	w.ip("-n", w.site, "addr", "add", testAddress+"/24", "dev", "p0")
	w.ip("-n", w.site, "link", "set", "p0", "up")
	w.makeSite()
	return w
}

func (w *lab) makeSite() {
	machines := []site.Machine{
		{Name: "m1", MAC: knownMAC, Roles: []api.Role{api.RoleMaster}, Address: netip.MustParseAddr("10.78.0.11")},
		{Name: "a1", MAC: "52:54:00:00:00:0c", Roles: []api.Role{api.RoleAgent}, Address: netip.MustParseAddr("10.78.0.12")},
	}
	var err error
	w.tokens, err = site.Create(filepath.Join(w.dir, "site"), site.Plan{
		Name: "test", Address: netip.MustParseAddr(testAddress), URL: "https://127.0.0.1:8443", Machines: machines,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.config = &Config{
		Interface: "p0", Address: netip.MustParsePrefix(testAddress + "/24"),
		Site: filepath.Join(w.dir, "site"), Image: makeImage(w.t), Control: filepath.Join(w.dir, "control"),
		Machines: machines,
	}
}

// makeImage is an image of the right form, without any meaning.
func makeImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m := manifest.Manifest{Version: "1", Profile: "vm", Cmdline: "console=ttyS0 quiet"}
	for name, size := range map[string]int{"vmlinuz": 100 << 10, "initrd": 5<<20 + 7, "ingot.efi": 3 << 20} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte(name), size/len(name)+1)[:size], 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := manifest.Describe(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, f)
	}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command is the provisioner as a process of its own in its namespace.
func (w *lab) command(ctx context.Context) *exec.Cmd {
	w.t.Helper()
	b, err := json.Marshal(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, "config.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	cmd := w.in(ctx, w.site, os.Args[0])
	cmd.Env = append(os.Environ(), configEnv+"="+path)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// start starts the provisioner and waits until it says that it is ready; at
// the test's end it must end cleanly.
func (w *lab) start() {
	w.t.Helper()
	cmd := w.command(context.WithoutCancel(w.t.Context()))
	logs, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ready, drained := make(chan bool, 1), make(chan struct{})
	t := w.t // the whole test's: w.t is a subtest's for a while
	go func() {
		defer close(drained)
		for s := bufio.NewScanner(logs); s.Scan(); {
			t.Log(s.Text())
			if strings.Contains(s.Text(), "provisioner is ready") {
				ready <- true
			}
		}
	}()
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("provisioner ended with %v", err)
		}
	})
	select {
	case <-ready:
	case <-drained:
		w.t.Fatal("provisioner ended before it was ready")
	case <-time.After(20 * time.Second):
		w.t.Fatal("provisioner is not ready after 20 s")
	}
}

// local calls the control socket.
func (w *lab) local() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", w.config.Control)
	}}}
}

func (w *lab) machine(name string) api.Machine {
	w.t.Helper()
	resp, err := w.local().Get("http://provisioner/v1/machines")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []api.Machine
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		w.t.Fatal(err)
	}
	for _, m := range all {
		if m.Name == name {
			return m
		}
	}
	w.t.Fatalf("machine %s is not listed in %v", name, all)
	return api.Machine{}
}

// packages of Debian that hold the foreign clients.
var packages = map[string]string{
	"udhcpc": "udhcpc", "chronyd": "chrony", "rdisc6": "ndisc6", "curl": "curl", "openssl": "openssl", "sh": "dash",
}

// run runs a foreign client in the machine's namespace.
func (w *lab) run(args ...string) string {
	w.t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		w.t.Skipf("needs %s: package %s", args[0], packages[args[0]])
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	out, err := w.in(ctx, w.client, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
