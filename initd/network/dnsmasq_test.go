package network

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runEnv makes the test binary `initd network` itself, inside a namespace.
const runEnv = "INGOT_TEST_NETWORK_ARGS"

func TestMain(m *testing.M) {
	args := os.Getenv(runEnv)
	if args == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, strings.Fields(args)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// wire is two network namespaces joined by a veth pair; the server's end has
// 10.91.0.1/24.
type wire struct {
	t              *testing.T
	server, client string
	dir            string
}

func newWire(t *testing.T, id string) *wire {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: Debian package iproute2")
	}
	w := &wire{t: t, dir: t.TempDir()}
	w.server, w.client = fmt.Sprintf("ingot-ns-%s%d", id, os.Getpid()), fmt.Sprintf("ingot-nc-%s%d", id, os.Getpid())
	for _, ns := range []string{w.server, w.client} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("needs network namespaces: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	}
	w.ip("-n", w.server, "link", "add", "s0", "type", "veth", "peer", "name", "c0", "netns", w.client)
	w.ip("-n", w.server, "addr", "add", "10.91.0.1/24", "dev", "s0")
	w.ip("-n", w.server, "link", "set", "s0", "up")
	return w
}

func (w *wire) ip(args ...string) string {
	w.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

// start runs a program in a namespace; its standard error comes line by line.
func (w *wire) start(ns string, env []string, argv ...string) (stop func(), lines <-chan string) {
	w.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, argv...)...)
	cmd.Env = append(os.Environ(), env...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	out := make(chan string, 1000)
	go copyLines(out, pipe)
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // gone already is fine
		for range out {
		}
		_ = cmd.Wait()
	}
	w.t.Cleanup(stop)
	return stop, out
}

func copyLines(to chan<- string, from io.Reader) {
	defer close(to)
	for s := bufio.NewScanner(from); s.Scan(); {
		select {
		case to <- s.Text():
		default: // nobody reads: the test has what it wanted
		}
	}
}

// await reads until one line holds text.
func await(t *testing.T, lines <-chan string, text string, limit time.Duration) {
	t.Helper()
	var seen []string
	late := time.After(limit)
	for {
		select {
		case line, ok := <-lines:
			seen = append(seen, line)
			if strings.Contains(line, text) {
				return
			}
			if !ok {
				t.Fatalf("program ended without %q; it said:\n%s", text, strings.Join(seen, "\n"))
			}
		case <-late:
			t.Fatalf("no %q in %v; seen:\n%s", text, limit, strings.Join(seen, "\n"))
		}
	}
}

func (w *wire) dnsmasq(more ...string) (stop func(), lines <-chan string) {
	w.t.Helper()
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		w.t.Skip("needs dnsmasq: Debian package dnsmasq-base")
	}
	return w.start(w.server, nil, append([]string{
		"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=s0", "--bind-interfaces", "--user=root",
		"--dhcp-range=10.91.0.50,10.91.0.60,2m", "--dhcp-leasefile=" + filepath.Join(w.dir, "leases"), "--dhcp-authoritative", "--no-ping", "--log-dhcp",
		"--dhcp-option=224,https://10.91.0.1:7300", "--dhcp-option=option:dns-server,10.91.0.1",
	}, more...)...)
}

// network starts `initd network` and answers a socket that hears READY=1.
func (w *wire) network() (*net.UnixConn, <-chan string) {
	w.t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(w.dir, "notify"), Net: "unixgram"}
	ready, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ready.Close() })
	env := []string{runEnv + "=--interface c0 --run " + w.dir, "NOTIFY_SOCKET=" + addr.Name}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	_, lines := w.start(w.client, env, self)
	return ready, lines
}

func TestLeaseFromDnsmasq(t *testing.T) {
	t.Parallel()
	w := newWire(t, "a")
	stop, served := w.dnsmasq("--dhcp-option=option:T2,3s")
	await(t, served, "DHCP, sockets bound", 10*time.Second)
	began := time.Now()
	ready, _ := w.network()
	if err := ready.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 500)
	n, err := ready.Read(b)
	if err != nil || !bytes.HasPrefix(b[:n], []byte("READY=1")) {
		t.Fatalf("notify %q, %v", b[:n], err)
	}
	t.Logf("from start of the program to READY=1: %v", time.Since(began))

	s, err := Load(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Address, "10.91.0.") || s.Prefix != 24 || s.Gateway != "10.91.0.1" || s.Site != "https://10.91.0.1:7300" || s.Interface != "c0" {
		t.Errorf("network.json says %+v", s)
	}
	if out := w.ip("-n", w.client, "addr", "show", "dev", "c0"); !strings.Contains(out, s.Address+"/24") || !strings.Contains(out, "valid_lft 1") {
		t.Errorf("address with the lease's life is not there: %s", out)
	}
	if out := w.ip("-n", w.client, "route"); !strings.Contains(out, "default via 10.91.0.1") {
		t.Errorf("routes: %s", out)
	}
	if out := w.ip("-n", w.client, "addr", "show", "dev", "lo"); !strings.Contains(out, "127.0.0.1/8") {
		t.Errorf("loopback: %s", out)
	}
	// T2 of 3 s makes dnsmasq say T1 = 2 s: the renewal comes then, by unicast.
	await(t, served, "DHCPACK", time.Second)
	await(t, served, "DHCPREQUEST", 10*time.Second)
	await(t, served, "DHCPACK", 10*time.Second)
	stop()
}

func TestSilenceIsSaid(t *testing.T) {
	t.Parallel()
	w := newWire(t, "b")
	_, lines := w.network()
	await(t, lines, "no DHCP answer on c0 after some seconds of asking: is a provisioner on this network?", 20*time.Second)
}
