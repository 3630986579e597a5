package root

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-os/ingot/image/debian"
	"github.com/ingot-os/ingot/image/debian/deb"
	"github.com/ingot-os/ingot/image/tree"
)

// kernelPackage finds the locked kernel in the cache of image builds.
func kernelPackage(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../lock.json")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := debian.ParseLock(data)
	if err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv("INGOT_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Skip("no cache folder: " + err.Error())
		}
		cache = filepath.Join(user, "ingot")
	}
	for _, p := range lock.Packages {
		if path := filepath.Join(cache, "sha256", p.SHA256); slices.Contains(lock.Sets["kernel"], p.Name) {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	t.Skip("the locked kernel is not in the cache: run `ingot image build` first")
	return ""
}

// TestOrderAgainstModprobe compares the lists of the shipped kernel with what
// kmod would insert.
func TestOrderAgainstModprobe(t *testing.T) {
	file := kernelPackage(t)
	depmod, modprobe := tool(t, "depmod"), tool(t, "modprobe")
	k, err := OpenKernel(file)
	if err != nil {
		t.Fatal(err)
	}
	base := modulesTree(t, file)
	if out, err := exec.CommandContext(t.Context(), depmod, "-b", base, k.Version).CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v: %s", err, out)
	}
	for name, list := range map[string][]string{"stage one": StageOne, "root phase": RootPhase} {
		got, err := k.Order(list)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, module := range list {
			out, err := exec.CommandContext(t.Context(), modprobe, "-d", base, "-S", k.Version, "--show-depends", module).Output()
			if err != nil {
				t.Fatalf("modprobe %s: %v", module, err)
			}
			want = inserted(want, string(out))
		}
		if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(fileNames(got)))); d != "" {
			t.Errorf("%s (-modprobe +ours):\n%s", name, d)
		}
		checkOrder(t, k, got)
	}
}

func tool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Skipf("no %s: install the package kmod", name)
	return ""
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// modulesTree unpacks lib/modules where kmod looks for it.
func modulesTree(t *testing.T, file string) string {
	t.Helper()
	var tr tree.Tree
	err := deb.Unpack(file, &tr, func(name string) bool { return strings.Contains(name, "lib/modules/") })
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(t.TempDir(), "k")
	if err := tr.Write(base); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(base, "usr")) && !exists(filepath.Join(base, "lib")) {
		if err := os.Symlink("usr/lib", filepath.Join(base, "lib")); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

// inserted adds the files of "insmod PATH" lines that are not there yet.
func inserted(all []string, text string) []string {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "insmod" {
			continue
		}
		if name := strings.TrimSuffix(filepath.Base(f[1]), ".xz"); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// checkOrder fails for a module that comes before one it needs.
func checkOrder(t *testing.T, k *Kernel, modules []Module) {
	t.Helper()
	loaded := map[string]bool{}
	for _, m := range modules {
		if !bytes.HasPrefix(m.Data, []byte("\x7fELF")) {
			t.Errorf("%s is not unpacked", m.File)
		}
		for _, d := range k.infos[moduleName(m.File)].depends {
			if !loaded[moduleName(d)] && !k.builtin[moduleName(d)] {
				t.Errorf("%s comes before %s", m.File, d)
			}
		}
		loaded[moduleName(m.File)] = true
	}
}
