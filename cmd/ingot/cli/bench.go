package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image"
	"github.com/ingot-os/ingot/qemu-tests/rack"
	"github.com/ingot-os/ingot/qemu-tests/vm"
)

var defaultBench = filepath.Join("build", "bench")

// paddedImage is the image that boots, in the folder of the bench.
const paddedImage = "image"

// bench is one `ingot rack bench`. Its folder holds the padded image and, one
// after the other, racks of one machine; nothing of it is left at the end.
type bench struct {
	c        *call
	dir      string // absolute
	image    string // as it was built
	sizeMB   int64  // zero: as it was built
	runs     int
	seed     uint64
	firmware []vm.Firmware
	patience time.Duration
	board    *board
	size     int64 // bytes of vmlinuz and initrd that boot
}

func rackBench(fs *flag.FlagSet) action {
	b := &bench{}
	dir := fs.String("dir", defaultBench, "work in `DIR`, which is empty again at the end")
	fs.StringVar(&b.image, "image", defaultImage, "`DIR` of the built image")
	fs.Int64Var(&b.sizeMB, "size-mb", targetMB, "pad vmlinuz and initrd to `N` MB; 0 takes them as built")
	runs := fs.String("runs", "", "boots per firmware, of which the median counts, `N`; else $RUNS, else 1")
	seed := fs.String("seed", "", "`TEXT` that the noise comes from; else $SEED, else 1")
	firmware := fs.String("firmware", "bios,uefi", "`LIST` of bios and uefi")
	fs.DurationVar(&b.patience, "patience", 3*time.Minute, "give up when a machine needs longer")
	return func(ctx context.Context, c *call) (err error) {
		b.c, b.seed = c, number(or(*seed, os.Getenv("SEED"), "1"))
		if b.runs, err = strconv.Atoi(or(*runs, os.Getenv("RUNS"), "1")); err != nil || b.runs < 1 {
			return usagef("--runs is not a number of boots")
		}
		if b.firmware, err = parseFirmware(*firmware); err != nil {
			return err
		}
		if b.dir, err = filepath.Abs(*dir); err != nil {
			return fmt.Errorf("find the folder to work in: %w", err)
		}
		b.board = newBoard(c.stderr)
		defer b.board.close()
		return b.run(ctx)
	}
}

// or is the first that says something.
func or(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// number makes a seed of a number or, as CI gives it, of a commit.
func number(s string) uint64 {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

func parseFirmware(list string) ([]vm.Firmware, error) {
	var all []vm.Firmware
	for name := range strings.SplitSeq(list, ",") {
		f := vm.Firmware(name)
		if f != vm.BIOS && f != vm.UEFI {
			return nil, usagef("firmware %q is not bios or uefi", name)
		}
		all = append(all, f)
	}
	return all, nil
}

// run measures, and leaves nothing behind.
func (b *bench) run(ctx context.Context) error {
	unlock, err := lockRack(b.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.clear(); err != nil { // of a bench that was killed
		return err
	}
	err = b.measureAll(ctx)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return errors.Join(err, b.clear())
}

// measureAll boots each firmware in turn. A machine that does not boot does not
// keep the next from being measured.
func (b *bench) measureAll(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var results []result
	var failed []string
	for _, f := range b.firmware {
		one, err := b.measure(ctx, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, err.Error())
		}
		results = append(results, one)
	}
	b.board.close()
	if err := b.report(results); err != nil {
		return err
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, "; "))
	}
	return nil
}

// prepare looks at this machine and makes the image that boots.
func (b *bench) prepare(ctx context.Context) error {
	b.board.set("image", "reading "+b.image, "")
	m, err := manifest.Read(b.image)
	if err != nil {
		return err
	}
	for _, f := range b.firmware {
		machines, err := alone(f)
		if err != nil {
			return err
		}
		if err := rack.Preflight(rack.Config{Dir: b.dir, Machines: machines}); err != nil {
			return err
		}
	}
	if b.sizeMB > 0 {
		b.board.set("image", fmt.Sprintf("padding to %d MB", b.sizeMB), "")
		out := filepath.Join(b.dir, paddedImage)
		if m, err = image.Pad(b.image, out, b.sizeMB*1e6, b.seed); err != nil {
			return err
		}
		b.image = out
	}
	for _, name := range []string{"vmlinuz", "initrd"} {
		f, _ := m.Lookup(name)
		b.size += f.Size
	}
	return ctx.Err()
}

// measure boots one firmware as often as asked for.
func (b *bench) measure(ctx context.Context, f vm.Firmware) (result, error) {
	one := result{firmware: f}
	for n := range b.runs {
		b.board.phase("boot")
		m, err := b.boot(ctx, f)
		if err != nil {
			return one, fmt.Errorf("%s boot %d of %d: %w", f, n+1, b.runs, err)
		}
		one.took, one.cpu = append(one.took, m.init.Sub(m.powered)), append(one.cpu, m.initCPU)
		b.board.set(string(f), "init ran after "+secs(m.init.Sub(m.powered)), fmt.Sprintf("boot %d of %d", n+1, b.runs))
	}
	return one, nil
}

// clear takes away whatever is in the bench's folder.
func (b *bench) clear() error {
	return errors.Join(remove(b.dir), os.RemoveAll(filepath.Join(b.dir, paddedImage)))
}
