package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ingot-os/ingot/boot/cmdline"
	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image/atomicfile"
	"github.com/ingot-os/ingot/image/debian/deb"
	"github.com/ingot-os/ingot/image/initramfs"
	"github.com/ingot-os/ingot/image/root"
	"github.com/ingot-os/ingot/image/tree"
	"github.com/ingot-os/ingot/image/uki"
)

// rootImage is the root image on its way into the initrd; it is not published.
const rootImage = "root.img"

// stubFile is systemd's EFI stub in Debian's package systemd-boot-efi.
const stubFile = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"

// makeKernel keeps what the image takes from the kernel's package.
func (b *build) makeKernel(context.Context) (int64, bool, error) {
	return b.once(vmlinuzFile, b.paths(setKernel), func(path string) error {
		k, err := b.openKernel()
		if err != nil {
			return err
		}
		return atomicfile.WriteBytes(path, 0o644, k.Image)
	})
}

// openKernel reads the kernel's package, once and only when a step needs it.
func (b *build) openKernel() (*root.Kernel, error) {
	if b.kernel != nil {
		return b.kernel, nil
	}
	packages := b.paths(setKernel)
	if len(packages) != 1 {
		return nil, fmt.Errorf("%d kernels in the lock file, want one", len(packages))
	}
	k, err := root.OpenKernel(packages[0])
	b.kernel = k
	return k, err
}

func (b *build) makeRoot(ctx context.Context) (int64, bool, error) {
	inputs, err := b.rootInputs()
	if err != nil {
		return 0, false, err
	}
	size, skipped, err := b.once(rootImage, inputs, func(path string) error { return b.erofs(ctx, path) })
	if err != nil {
		return 0, false, err
	}
	f, err := manifest.Describe(b.made(), rootImage)
	b.rootSum = f.SHA256
	return size, skipped, err
}

// rootInputs names all that the root image is made of.
func (b *build) rootInputs() ([]string, error) {
	inputs := []string{b.Version, b.Profile, strings.Join(root.RootPhase, " "), root.Compression}
	inputs = append(inputs, b.paths(setKernel)...)
	inputs = append(inputs, b.paths(setMkfs)...)
	for _, p := range b.Programs {
		f, err := manifest.Describe(filepath.Dir(b.programs[p]), filepath.Base(b.programs[p]))
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, p.Path, f.SHA256)
	}
	return inputs, nil
}

func (b *build) erofs(ctx context.Context, path string) error {
	k, err := b.openKernel()
	if err != nil {
		return err
	}
	modules, err := k.Order(root.RootPhase)
	if err != nil {
		return err
	}
	t, err := root.Tree(b.release(), k, modules, b.programs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tool := filepath.Join(b.Cache, "mkfs-"+digestOf(b.paths(setMkfs))[:16])
	mkfs, err := root.UnpackMkfs(tool, b.paths(setMkfs))
	if err != nil {
		return err
	}
	if err := mkfs.EROFS(ctx, t, path+".tree", path+".new"); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (b *build) release() root.Release {
	return root.Release{Version: b.Version, Profile: b.Profile, Built: b.inputsDate}
}

func (b *build) makeInitrd(context.Context) (int64, bool, error) {
	file, ok := b.initd()
	if !ok {
		return 0, false, errors.New("no initd among the programs: the initrd starts with it")
	}
	f, err := manifest.Describe(filepath.Dir(file), filepath.Base(file))
	if err != nil {
		return 0, false, err
	}
	inputs := append([]string{b.rootSum, f.SHA256, strings.Join(root.StageOne, " ")}, b.paths(setKernel)...)
	return b.once(initrdFile, inputs, func(path string) error {
		entries, err := b.initrdEntries(file)
		if err != nil {
			return err
		}
		return atomicfile.Write(path, 0o644, func(w io.Writer) error { return initramfs.Write(w, entries) })
	})
}

func (b *build) initd() (string, bool) {
	for p, file := range b.programs {
		if p.Path == "sbin/initd" {
			return file, true
		}
	}
	return "", false
}

// initrdEntries are in the order stage one relies on: the size of the root image
// before the image, so that a cut-off initrd is noticed.
func (b *build) initrdEntries(initd string) ([]tree.Entry, error) {
	k, err := b.openKernel()
	if err != nil {
		return nil, err
	}
	modules, err := k.Order(root.StageOne)
	if err != nil {
		return nil, err
	}
	entries := []tree.Entry{
		{Path: "dev", Mode: fs.ModeDir | 0o755},
		{Path: "new", Mode: fs.ModeDir | 0o755},
		{Path: "init", Mode: 0o755, Source: initd},
		{Path: "m", Mode: fs.ModeDir | 0o755},
	}
	for i, m := range modules {
		entries = append(entries, tree.Entry{Path: fmt.Sprintf("m/%02d-%s", i, m.File), Mode: 0o644, Data: m.Data})
	}
	image := b.path(rootImage)
	return append(entries,
		tree.Entry{Path: "root.sha256", Mode: 0o644, Data: []byte(b.rootSum + "\n")},
		tree.Entry{Path: "root.size", Mode: 0o644, Data: fmt.Appendf(nil, "%d\n", sizeOf(image))},
		tree.Entry{Path: "root.img", Mode: 0o644, Source: image},
	), nil
}

func (b *build) makeUKI(context.Context) (int64, bool, error) {
	linux, err := manifest.Describe(b.made(), vmlinuzFile)
	if err != nil {
		return 0, false, err
	}
	initrd, err := manifest.Describe(b.made(), initrdFile)
	if err != nil {
		return 0, false, err
	}
	inputs := append([]string{linux.SHA256, initrd.SHA256, cmdline.Base, b.release().OS()}, b.paths(setStub)...)
	return b.once(ukiFile, inputs, b.writeUKI)
}

func (b *build) writeUKI(path string) error {
	var t tree.Tree
	for _, p := range b.paths(setStub) {
		if err := deb.Unpack(p, &t, func(name string) bool { return name == stubFile }); err != nil {
			return err
		}
	}
	stub, ok := t.Lookup(stubFile)
	if !ok {
		return fmt.Errorf("package systemd-boot-efi has no %s", stubFile)
	}
	linux, err := os.ReadFile(b.path(vmlinuzFile))
	if err != nil {
		return err
	}
	initrd, err := os.Open(b.path(initrdFile))
	if err != nil {
		return err
	}
	defer initrd.Close()
	return atomicfile.Write(path, 0o644, func(w io.Writer) error {
		return uki.Write(w, stub.Data, []uki.Section{
			text(".osrel", b.release().OS()), text(".cmdline", cmdline.Base),
			{Name: ".linux", Size: int64(len(linux)), Data: bytes.NewReader(linux)},
			{Name: ".initrd", Size: sizeOf(initrd.Name()), Data: initrd},
		})
	})
}

func text(name, content string) uki.Section {
	return uki.Section{Name: name, Size: int64(len(content)), Data: strings.NewReader(content)}
}
