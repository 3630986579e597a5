package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// TestBenchReport: targets are held against the padded image alone.
func TestBenchReport(t *testing.T) {
	s := time.Second
	results := []result{
		{vm.BIOS, []time.Duration{9 * s, 12 * s, 8 * s}, []time.Duration{7 * s, 8 * s, 9 * s}},
		{vm.UEFI, []time.Duration{26 * s}, []time.Duration{24 * s}},
		{firmware: vm.UEFI},
	}
	for _, c := range []struct {
		sizeMB int64
		want   string
	}{
		{100, `FIRMWARE  IMAGE     BOOTS  ON→INIT  CPU     TARGET  MET
bios      100.0 MB  3      9.0 s    8.0 s   10 s    yes
uefi      100.0 MB  1      26.0 s   24.0 s  25 s    no
uefi      100.0 MB  0      -        -       25 s    no

bench_boot_image 100.0 MB
bench_boot_bios_s 9.0 s
bench_boot_bios_cpu_s 8.0 s
bench_boot_uefi_s 26.0 s
bench_boot_uefi_cpu_s 24.0 s
`},
		{0, `FIRMWARE  IMAGE     BOOTS  ON→INIT  CPU     TARGET  MET
bios      100.0 MB  3      9.0 s    8.0 s   -       -
uefi      100.0 MB  1      26.0 s   24.0 s  -       -
uefi      100.0 MB  0      -        -       -       -

bench_boot_unpadded_image 100.0 MB
bench_boot_unpadded_bios_s 9.0 s
bench_boot_unpadded_bios_cpu_s 8.0 s
bench_boot_unpadded_uefi_s 26.0 s
bench_boot_unpadded_uefi_cpu_s 24.0 s
`},
	} {
		var out bytes.Buffer
		b := &bench{c: &call{stdout: &out}, sizeMB: c.sizeMB, size: 100e6}
		if err := b.report(results); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, out.String()); d != "" {
			t.Errorf("size %d (-want +got):\n%s", c.sizeMB, d)
		}
	}
}

// TestBenchLeavesNothing: without an image it says so, and the folder is gone.
func TestBenchLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bench")
	var out, talk bytes.Buffer
	args := []string{"rack", "bench", "--dir", dir, "--image", t.TempDir()}
	if code := Run(t.Context(), args, nil, &out, &talk); code != exitFailed || !strings.Contains(talk.String(), "ingot image build") {
		t.Errorf("exit code %d: %s", code, talk.String())
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// TestBenchFlags reads the command line; what is wrong is said before anything
// is made.
func TestBenchFlags(t *testing.T) {
	for _, args := range []string{"--runs 0", "--runs x", "--firmware bios,", "--firmware coreboot", "--size-mb x"} {
		var talk bytes.Buffer
		all := append([]string{"rack", "bench"}, strings.Fields(args)...)
		if code := Run(t.Context(), all, nil, &talk, &talk); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", args, code, talk.String())
		}
	}
	if number("12") != 12 || number("deadbeef") == number("deadbeee") {
		t.Error("seeds are numbers or any text")
	}
}
