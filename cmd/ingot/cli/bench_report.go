package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// targetMB is the size of image that targets are for.
const targetMB = 100

// targets of power-on to init: two cores, software emulation, nothing else to do.
var targets = map[vm.Firmware]time.Duration{vm.BIOS: 10 * time.Second, vm.UEFI: 25 * time.Second}

// result is what one firmware took, a value per boot.
type result struct {
	firmware  vm.Firmware
	took, cpu []time.Duration
}

// median is the value in the middle, the slower one of two; zero of none.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

func (b *bench) report(results []result) error {
	var rows [][]string
	figures := []figure{{"bench_boot_" + b.variant() + "image", float64(b.size) / 1e6, 1, "MB"}}
	for _, r := range results {
		rows = append(rows, b.row(r))
		if len(r.took) > 0 {
			name := "bench_boot_" + b.variant() + string(r.firmware)
			figures = append(figures,
				figure{name + "_s", median(r.took).Seconds(), 1, "s"},
				figure{name + "_cpu_s", median(r.cpu).Seconds(), 1, "s"})
		}
	}
	if err := columns(b.c.stdout, "FIRMWARE IMAGE BOOTS ON→INIT CPU TARGET MET", rows); err != nil {
		return err
	}
	fmt.Fprintln(b.c.stdout)
	printFigures(b.c.stdout, figures)
	return nil
}

// variant keeps figures of other sizes apart from those that have targets.
func (b *bench) variant() string {
	switch b.sizeMB {
	case targetMB:
		return ""
	case 0:
		return "unpadded_"
	}
	return fmt.Sprintf("%dMB_", b.sizeMB)
}

func (b *bench) row(r result) []string {
	took := median(r.took)
	row := []string{string(r.firmware), fmt.Sprintf("%.1f MB", float64(b.size)/1e6), fmt.Sprint(len(r.took)), secs(took), secs(median(r.cpu)), "", ""}
	if target := targets[r.firmware]; b.sizeMB == targetMB {
		row[5] = fmt.Sprintf("%.0f s", target.Seconds())
		row[6] = "no"
		if took > 0 && took <= target {
			row[6] = "yes"
		}
	}
	return row
}
