package clock

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func run(t *testing.T, args ...string) State {
	t.Helper()
	dir := t.TempDir()
	if err := Run(context.Background(), append([]string{"--dry-run", "--state", dir}, args...)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, FileState))
	if err != nil {
		t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// chronyd is a real time server on a loopback port of its own.
func chronyd(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chronyd")
	if err != nil {
		t.Skip("needs chronyd: Debian package chrony")
	}
	if os.Geteuid() != 0 {
		t.Skip("chronyd needs root")
	}
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.LocalAddr().(*net.UDPAddr).Port
	probe.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	text := "local stratum 5\nallow 127.0.0.0/8\nbindaddress 127.0.0.1\nport " + strconv.Itoa(port) +
		"\ncmdport 0\nbindcmdaddress /\npidfile " + dir + "/pid\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(path, "-x", "-d", "-u", "root", "-f", conf)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func TestAgainstChronyd(t *testing.T) {
	server := chronyd(t)
	s := run(t, "--server", server, "--wait", "10s") // chronyd takes a moment to listen
	if !s.Synchronized || s.Stratum != 5 || s.Server != server {
		t.Errorf("state %+v", s)
	}
	if d := time.Duration(s.OffsetUS) * time.Microsecond; d.Abs() > 100*time.Millisecond {
		t.Errorf("offset to this machine's own clock is %v", d)
	}
}

func TestServerBeforeTheImage(t *testing.T) {
	server := chronyd(t)
	release := filepath.Join(t.TempDir(), "release.json")
	if err := os.WriteFile(release, []byte(`{"built":"2099-01-01T00:00:00Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := run(t, "--server", server, "--wait", "10s", "--release", release)
	if s.Synchronized || !strings.Contains(s.Reason, "before this image was built") {
		t.Errorf("state %+v", s)
	}
}

func TestNoServer(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, args := range map[string][]string{
		"silent":     {"--server", silent.LocalAddr().String()},
		"no port":    {"--server", "127.0.0.1:1"},
		"no network": nil,
	} {
		if s := run(t, append(args, "--wait", "600ms")...); s.Synchronized || s.Reason == "" {
			t.Errorf("%s: state %+v", name, s)
		}
	}
}

func TestFloor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.json")
	if !built(path).IsZero() {
		t.Error("a floor without a file")
	}
	if err := os.WriteFile(path, []byte(`{"version":"0.1","built":"2026-11-22T00:00:00Z"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := built(path); got.Unix() != 1795305600 {
		t.Errorf("floor %v (%d)", got, got.Unix())
	}
}
