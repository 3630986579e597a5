package vm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/wire"
)

func TestArgs(t *testing.T) {
	fw := ovmf{code: "/fw/CODE.fd", vars: "/fw/VARS.fd"}
	tests := []struct {
		name   string
		config Config
		want   []string // runs of arguments that must be there
		never  string
	}{
		{
			name:   "bios boots the card's iPXE",
			config: Config{Name: "m1", Dir: "/r/m1", MAC: "52:54:00:00:00:01"},
			want: []string{
				"-cpu max,-cx16", "-m 768", "-no-reboot",
				"-netdev stream,id=n0,server=off,addr.type=unix,addr.path=wire.sock",
				"-device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01,bootindex=0",
				"-smbios type=1,manufacturer=Ingot,product=rack,serial=m1",
			},
			never: "romfile",
		},
		{
			name:   "uefi boots over http only",
			config: Config{Name: "a1", Dir: "/r/a1", Firmware: UEFI, MAC: "52:54:00:00:00:02"},
			want: []string{
				"-fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=n",
				"-device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:02,bootindex=0,romfile=",
				"-drive if=pflash,unit=1,format=raw,file=vars.fd",
			},
		},
		{
			name:   "commas are doubled",
			config: Config{Name: "x", Dir: "/r/x", OEM: []string{"ingot.token=a.b@c,d"}, RTC: "1970-01-01"},
			want:   []string{"-smbios type=11,path=oem-0", "-rtc base=1970-01-01"},
			never:  "-netdev",
		},
		{
			name:   "a kernel skips network boot",
			config: Config{Name: "x", Dir: "/r/x", MAC: "52:54:00:00:00:03", Kernel: "/k", Initrd: "/i", Cmdline: "quiet"},
			want:   []string{"-kernel /k -initrd /i -append quiet", "romfile="},
			never:  "bootindex",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.config.check(); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(tt.config.args(fw), " ")
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in\n%s", w, got)
				}
			}
			if tt.never != "" && strings.Contains(got, tt.never) {
				t.Errorf("%q in\n%s", tt.never, got)
			}
		})
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range []Config{{}, {Name: "a"}, {Name: "a", Dir: "/x", Firmware: "coreboot"}} {
		if err := c.check(); err == nil {
			t.Errorf("%+v passes", c)
		}
	}
}

func TestParseEvent(t *testing.T) {
	now := time.Now()
	if e := parseEvent([]byte(`{"event":"unit","unit":"a.service","state":"active","us":7}`), now); e.Unit != "a.service" || e.US != 7 || !e.Host.Equal(now) {
		t.Errorf("read %+v", e)
	}
	for _, line := range []string{"", "{", "[]", `{"event":""}`, strings.Repeat("x", 1000)} {
		if e := parseEvent([]byte(line), now); e.Event != "problem" || len(e.Text) > 1000 {
			t.Errorf("%q reads as %+v", line, e)
		}
	}
}

func needQEMU(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(QEMU); err != nil {
		t.Skip("needs qemu-system-x86_64 (Debian package qemu-system-x86)")
	}
	if err := FindIPXE(); err != nil {
		t.Skip("needs iPXE for QEMU (Debian package ipxe-qemu)")
	}
}

// ear is a link that hears frames and says nothing.
type ear struct {
	heard chan []byte
	gone  chan struct{}
}

func (e *ear) ReadFrame([]byte) (int, error) { <-e.gone; return 0, os.ErrClosed }
func (e *ear) WriteFrame(f []byte) error     { e.heard <- f; return nil }
func (e *ear) Flush() error                  { return nil }
func (e *ear) Close() error                  { close(e.gone); return nil }

// A bare BIOS machine asks for an address: real iPXE, through the switch.
func TestBIOSMachineAsksForAnAddress(t *testing.T) {
	needQEMU(t)
	s := wire.New(1)
	defer s.Close()
	ear := &ear{heard: make(chan []byte, 1024), gone: make(chan struct{})}
	if err := s.Plug("ear", ear); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := s.Listen("m1", filepath.Join(dir, "wire.sock")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	m, err := Start(ctx, Config{Name: "m1", Dir: dir, MAC: "52:54:00:77:00:0b", MemoryMB: 128})
	if err != nil {
		t.Fatal(err)
	}
	await(t, ctx, ear, func(f []byte) bool { // a DISCOVER of iPXE: option 53 is 1, option 77 is "iPXE"
		return bytes.Contains(f, []byte{53, 1, 1}) && bytes.Contains(f, []byte("iPXE"))
	})
	t.Logf("DISCOVER after %.1f s, %.1f CPU s", time.Since(m.Started).Seconds(), m.CPU().Seconds())
	if err := m.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if e := m.End(); e.Reason != "power-cut" || e.CPU == 0 {
		t.Fatalf("ended as %+v", e)
	}
	if m.Process().Alive() {
		t.Fatal("QEMU is alive after the power was cut")
	}
}

func await(t *testing.T, ctx context.Context, e *ear, match func([]byte) bool) {
	t.Helper()
	for {
		select {
		case f := <-e.heard:
			if match(f) {
				return
			}
		case <-ctx.Done():
			t.Fatal("the frame never came")
		}
	}
}

// QEMU's own complaint is what a caller reads.
func TestStartSaysWhatQEMUSays(t *testing.T) {
	needQEMU(t)
	_, err := Start(t.Context(), Config{Name: "x", Dir: t.TempDir(), UUID: "nonsense"})
	if err == nil || !strings.Contains(err.Error(), "power on x: ") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
}

func TestFilesAreKnown(t *testing.T) {
	for _, f := range []string{ConsoleLog, EventsLog, QEMULog, pidFile, varsFile, oemFile(0)} {
		if !slices.Contains(Files, f) {
			t.Errorf("%s is not in Files", f)
		}
	}
}
