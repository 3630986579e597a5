package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/boot/cmdline"
	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image/debian"
	"github.com/ingot-os/ingot/image/root"
)

// Names of the artefacts in the folder of a build.
const (
	vmlinuzFile = "vmlinuz"
	initrdFile  = "initrd"
	ukiFile     = "ingot.efi"
	imagesDir   = "images"
	workDir     = ".work" // what lets the next build skip steps
)

// Build makes the image of o.Profile in o.Out and returns its manifest.
func Build(ctx context.Context, o Options) (*manifest.Manifest, error) {
	if err := o.fill(); err != nil {
		return nil, fmt.Errorf("build the image: %w", err)
	}
	b := &build{Options: o, programs: map[root.Program]string{}, packages: map[string][]debian.Fetched{}}
	if err := os.MkdirAll(b.work(), 0o755); err != nil {
		return nil, fmt.Errorf("build the image: %w", err)
	}
	unlock, err := b.exclude()
	if err != nil {
		return nil, fmt.Errorf("build the image: %w", err)
	}
	defer unlock()
	if err := b.all(ctx); err != nil {
		return nil, fmt.Errorf("build the image: %w", err)
	}
	return b.manifest()
}

// build is the state of one Build: what earlier steps made for later ones.
type build struct {
	Options
	packages map[string][]debian.Fetched // by set
	programs map[root.Program]string     // path of the compiled file
	hello    string                      // path of the compiled example
	unlocked bool
	kernel   *root.Kernel
	rootSum  string // SHA-256 of the root image
	// inputsDate is when Debian published the locked packages: no image is older than
	// what it is made of, and unlike the day of the build it is the same for the same inputs.
	inputsDate time.Time
}

func (b *build) all(ctx context.Context) error {
	if err := b.step("packages", Download, func() (int64, bool, error) { return b.fetch(ctx) }); err != nil {
		return err
	}
	if err := b.compile(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		do   func(context.Context) (int64, bool, error)
	}{
		{"kernel", b.makeKernel},
		{"root image", b.makeRoot},
		{"initrd", b.makeInitrd},
		{"UKI", b.makeUKI},
		{"image hello:1", b.makeHello},
		{"image base:1", b.makeBase},
		{"image nginx:1", b.makeNginx},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.step(s.name, Assemble, func() (int64, bool, error) { return s.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) fetch(ctx context.Context) (int64, bool, error) {
	lock, err := debian.ParseLock(lockJSON)
	if err != nil {
		return 0, false, err
	}
	if b.inputsDate, err = time.Parse(time.RFC1123, lock.Date); err != nil {
		return 0, false, fmt.Errorf("lock file: date %q: %w: run `ingot image lock`", lock.Date, err)
	}
	client := b.client()
	for _, s := range sets {
		if b.packages[s.Name], err = client.Fetch(ctx, lock, s.Name); err != nil {
			return 0, false, err
		}
		for _, p := range b.packages[s.Name] {
			if !p.Locked {
				b.unlocked = true
				b.log("the locked package has left the mirror: took %s %s, the newest that Debian signed; `ingot image lock` renews the lock file", p.Name, p.Version)
			}
		}
	}
	return client.Downloaded(), client.Downloaded() == 0, nil
}

func (b *build) compile(ctx context.Context) error {
	for _, p := range b.Programs {
		if err := b.program(ctx, p, func(file string) { b.programs[p] = file }); err != nil {
			return err
		}
	}
	return b.program(ctx, hello, func(file string) { b.hello = file })
}

func (b *build) program(ctx context.Context, p root.Program, done func(string)) error {
	return b.step(filepath.Base(p.Path), Compile, func() (int64, bool, error) {
		out, err := filepath.Abs(filepath.Join(b.work(), "programs"))
		if err != nil {
			return 0, false, err
		}
		file, err := p.Compile(ctx, b.Root, out)
		if err != nil {
			return 0, false, err
		}
		done(file)
		return sizeOf(file), false, nil
	})
}

func (b *build) manifest() (*manifest.Manifest, error) {
	names := []string{vmlinuzFile, initrdFile, ukiFile, imageFile("hello"), imageFile("nginx"), imageFile("base")}
	if err := b.publish(names); err != nil {
		return nil, fmt.Errorf("build the image: %w", err)
	}
	m := &manifest.Manifest{
		Version: b.Version, Profile: b.Profile, Unlocked: b.unlocked, Cmdline: cmdline.Base, Root: b.rootSum,
	}
	for _, name := range names {
		f, err := manifest.Describe(b.Out, name)
		if err != nil {
			return nil, fmt.Errorf("build the image: %w", err)
		}
		m.Files = append(m.Files, f)
	}
	return m, m.Write(b.Out)
}

func (b *build) work() string { return filepath.Join(b.Out, workDir) }

// made is where the artefacts are until all of them are there.
func (b *build) made() string { return filepath.Join(b.work(), "made") }

func (b *build) path(name string) string { return filepath.Join(b.made(), filepath.FromSlash(name)) }

// paths returns where the packages of a set are in the cache.
func (b *build) paths(set string) (all []string) {
	for _, p := range b.packages[set] {
		all = append(all, p.Path)
	}
	return all
}

func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}
