package wire

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/sock"
)

// station is a machine on a test's wire, with an address of its own.
type station struct {
	t    *testing.T
	addr mac
	conn net.Conn
	link Link
}

func newStation(t *testing.T, s *Switch, name string, n byte) *station {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".sock")
	if err := s.Listen(name, path); err != nil {
		t.Fatal(err)
	}
	c, err := sock.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return &station{t: t, addr: mac{2, 0, 0, 0, 0, n}, conn: c, link: StreamLink(c)}
}

func (m *station) say(to mac, text string) {
	m.t.Helper()
	f := append(append(append([]byte{}, to[:]...), m.addr[:]...), 0x88, 0xb5)
	if err := m.link.WriteFrame(append(f, text...)); err != nil {
		m.t.Fatal(err)
	}
	if err := m.link.Flush(); err != nil {
		m.t.Fatal(err)
	}
}

// hears tells what arrives next, or "" when nothing does for a moment.
func (m *station) hears(limit time.Duration) string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, MaxFrame)
	n, err := m.link.ReadFrame(buf)
	if err != nil {
		return ""
	}
	return string(buf[14:n])
}

const (
	soon = 5 * time.Second
	not  = 50 * time.Millisecond
)

var everybody = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// settle returns once every station is plugged in: each has heard a broadcast.
func settle(t *testing.T, all ...*station) {
	t.Helper()
	for _, from := range all {
		for _, to := range all {
			if to == from {
				continue
			}
			for end := time.Now().Add(soon); ; {
				from.say(everybody, "hello")
				if to.hears(not) == "hello" {
					break
				}
				if time.Now().After(end) {
					t.Fatal("a station never heard the other one")
				}
			}
		}
	}
	for _, m := range all {
		for m.hears(not) != "" { // greetings still under way
		}
	}
}

func TestSwitchLearnsAndFaults(t *testing.T) {
	s := New(1)
	a, b, c := newStation(t, s, "a", 1), newStation(t, s, "b", 2), newStation(t, s, "c", 3)
	settle(t, a, b, c)

	a.say(b.addr, "for b")
	if got := b.hears(soon); got != "for b" {
		t.Fatalf("b hears %q", got)
	}
	if got := c.hears(not); got != "" {
		t.Fatalf("c hears %q, which is for b", got)
	}

	s.Cut("b", true)
	a.say(b.addr, "cut")
	if got := b.hears(not); got != "" {
		t.Fatalf("b is cut and hears %q", got)
	}
	s.Cut("b", false)
	a.say(b.addr, "back")
	if got := b.hears(soon); got != "back" {
		t.Fatalf("b hears %q", got)
	}

	s.Partition([]string{"a"}, []string{"b"})
	a.say(everybody, "parted")
	if got := c.hears(soon); got != "parted" { // in no group: hears everybody
		t.Fatalf("c hears %q", got)
	}
	if got := b.hears(not); got != "" {
		t.Fatalf("b hears %q across the partition", got)
	}
	s.Partition()

	s.Loss("b", 1)
	a.say(b.addr, "lost")
	if got := b.hears(not); got != "" {
		t.Fatalf("b hears %q of a cable that loses all", got)
	}
	if n := s.Counters("b").Lost; n < 3 {
		t.Fatalf("b lost %d frames, want 3 at least", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("a second Close: %v", err)
	}
}

// A station that reads nothing must not keep the others from talking.
func TestSlowPortDrops(t *testing.T) {
	s := New(1)
	defer s.Close()
	a, b := newStation(t, s, "a", 1), newStation(t, s, "b", 2)
	settle(t, a, b)
	slow := newStation(t, s, "slow", 3)
	settle(t, a, slow)
	for b.hears(not) != "" {
	}
	big := strings.Repeat("x", 60000)
	for range queueLength + 200 {
		a.say(slow.addr, big)
	}
	a.say(b.addr, "after")
	if got := b.hears(soon); got != "after" {
		t.Fatalf("b hears %.20q", got)
	}
	if n := s.Counters("slow").Dropped; n == 0 {
		t.Fatal("nothing was dropped for a port that does not read")
	}
}

func TestForgedLengthEndsTheLink(t *testing.T) {
	s := New(1)
	defer s.Close()
	a, b := newStation(t, s, "a", 1), newStation(t, s, "b", 2)
	settle(t, a, b)
	if _, err := a.conn.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if err := a.conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the link is still up")
	}
}

// The foreign reader of the recording is tcpdump.
func TestRecordingReads(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("needs tcpdump (Debian package tcpdump)")
	}
	s := New(1)
	a, b := newStation(t, s, "a", 1), newStation(t, s, "b", 2)
	settle(t, a, b)
	file := filepath.Join(t.TempDir(), "wire.pcap")
	if err := s.Record(file, 64, 1<<20); err != nil {
		t.Fatal(err)
	}
	a.say(b.addr, "first")
	b.hears(soon)
	b.say(a.addr, strings.Repeat("y", 500))
	a.hears(soon)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tcpdump, "-n", "-e", "-t", "-r", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	// The second frame was cut at 64 bytes, and says how long it was.
	want := []string{"02:00:00:00:00:01 > 02:00:00:00:00:02", "length 19:", "02:00:00:00:00:02 > 02:00:00:00:00:01", "length 514:"}
	rest := string(out)
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Fatalf("tcpdump reads no %q after the one before it in\n%s", w, out)
		}
		rest = after
	}
}
