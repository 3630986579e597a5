package stories

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/vm"
	"github.com/ingot-os/ingot/qemu-tests/wire"
)

// lone is one machine booted without firmware's help (tier T2).
type lone struct {
	*testing.T
	machine *vm.Machine
	events  chan vm.Event
}

// boot starts the image's kernel; change may alter the machine before.
func boot(t *testing.T, change func(*vm.Config)) *lone {
	t.Helper()
	b := needBuilt(t)
	dir := t.TempDir()
	s := wire.New(1)
	if err := s.Listen("m1", filepath.Join(dir, "wire.sock")); err != nil {
		t.Fatal(err)
	}
	l := &lone{T: t, events: make(chan vm.Event, 1000)}
	c := vm.Config{
		Name: "m1", Dir: dir, MAC: "52:54:00:77:00:0b", Cmdline: b.cmdline,
		Kernel: filepath.Join(b.image, "vmlinuz"), Initrd: filepath.Join(b.image, "initrd"),
		OnEvent: func(e vm.Event) {
			select {
			case l.events <- e:
			default: // nobody reads that much
			}
		},
	}
	change(&c)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := vm.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	l.machine = m
	t.Cleanup(func() {
		if err := m.PowerCut(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("%.1f CPU seconds", m.End().CPU.Seconds())
		if t.Failed() {
			keep(t, map[string]string{
				"console.log": filepath.Join(dir, vm.ConsoleLog), "events.ndjson": filepath.Join(dir, vm.EventsLog), "qemu.log": filepath.Join(dir, vm.QEMULog),
			})
		}
	})
	return l
}

// await waits for an event of a kind, and a unit if one is named.
func (l *lone) await(kind, unit string, limit time.Duration) vm.Event {
	l.Helper()
	for deadline := time.After(limit); ; {
		select {
		case e := <-l.events:
			if e.Event == kind && (unit == "" || e.Unit == unit) {
				return e
			}
			if e.Event == "unit" && e.State == "failed" && e.Unit == unit {
				l.Fatalf("%s failed: %s", e.Unit, e.Text)
			}
		case <-l.machine.Done():
			l.Fatalf("the machine ended before %s %s: %s", kind, unit, l.machine.End().Text)
		case <-deadline:
			l.Fatalf("%s %s never came within %s", kind, unit, limit)
		}
	}
}

// awaitEnd waits for the machine to end by itself and returns its console.
func (l *lone) awaitEnd(limit time.Duration) string {
	l.Helper()
	select {
	case <-l.machine.Done():
	case <-time.After(limit):
		l.Fatalf("the machine is still on after %s", limit)
	}
	b, err := os.ReadFile(filepath.Join(l.machine.Config.Dir, vm.ConsoleLog))
	if err != nil {
		l.Fatal(err)
	}
	return string(b)
}

// A machine without anything on its wire still comes up as far as it can, and
// its console answers when the network is dead.
func TestKernelBootsToAConsole(t *testing.T) {
	l := boot(t, func(*vm.Config) {})
	e := l.await("init", "", time.Minute)
	t.Logf("init after %.2f s of the machine's time, %.1f s of ours", float64(e.US)/1e6, e.Host.Sub(l.machine.Started).Seconds())
	e = l.await("unit", "ingot-modules.service", time.Minute)
	if e.State != "active" {
		t.Fatalf("modules are %s: %s", e.State, e.Text)
	}
	answer := l.typed("status", "memory ", time.Minute)
	t.Logf("the console answers:\n%s", answer)
}

// typed types a line at the console and returns what it prints until want comes.
func (l *lone) typed(line, want string, limit time.Duration) string {
	l.Helper()
	c, err := l.machine.Console(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		l.Fatal(err)
	}
	if _, err := io.WriteString(c, line+"\r"); err != nil {
		l.Fatal(err)
	}
	var said strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(said.String(), want); {
		n, err := c.Read(buf)
		if err != nil {
			l.Fatalf("after %q the console printed %q and no %q: %v", line, said.String(), want, err)
		}
		said.Write(buf[:n])
	}
	return said.String()
}

// A download that was cut short ends in one line that says so.
func TestTruncatedImageSaysSo(t *testing.T) {
	b := needBuilt(t)
	whole, err := os.ReadFile(filepath.Join(b.image, "initrd"))
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(cut, whole[:len(whole)*7/10], 0o644); err != nil {
		t.Fatal(err)
	}
	l := boot(t, func(c *vm.Config) { c.Initrd = cut })
	onlyLine(t, l.awaitEnd(time.Minute), "boot image truncated: ", "power-cycle")
}

// Too little memory ends in one line with both numbers.
func TestTooLittleMemorySaysSo(t *testing.T) {
	l := boot(t, func(c *vm.Config) { c.MemoryMB = 192 })
	onlyLine(t, l.awaitEnd(time.Minute), "Ingot needs 256 MiB", "this machine has ")
}

// onlyLine finds the one line of a console with all of these words.
func onlyLine(t *testing.T, console string, words ...string) {
	t.Helper()
	n := 0
	for line := range strings.Lines(console) {
		found := true
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			n++
			t.Log(strings.TrimSpace(line))
		}
	}
	if n != 1 {
		t.Errorf("%d lines of the console hold %q, want one:\n%s", n, words, tail(console))
	}
}

func tail(s string) string { return s[max(0, len(s)-2000):] }
