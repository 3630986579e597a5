package root

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"

	"github.com/ingot-os/ingot/image/debian/deb"
)

// Kernel is Debian's kernel package in memory.
type Kernel struct {
	Version string // as of uname -r
	Image   []byte // vmlinuz

	packed  map[string][]byte // modules by name with underscores, as packed
	files   map[string]string // their file names without .xz
	crypto  []string          // those of the kernel's crypto folders
	builtin map[string]bool
	infos   map[string]info
	plain   map[string][]byte
}

// Module is a module ready to load, decompressed; its signature stays in it.
type Module struct {
	File string // "virtio_net.ko"
	Data []byte
}

// OpenKernel reads a linux-image package.
func OpenKernel(file string) (*Kernel, error) {
	k := &Kernel{
		packed: map[string][]byte{}, files: map[string]string{}, builtin: map[string]bool{},
		infos: map[string]info{}, plain: map[string][]byte{},
	}
	if err := deb.Walk(file, k.take); err != nil {
		return nil, err
	}
	if k.Image == nil || len(k.packed) == 0 {
		return nil, fmt.Errorf("read package %s: no kernel and modules in it", file)
	}
	return k, nil
}

func (k *Kernel) take(h *tar.Header, r io.Reader) error {
	base := path.Base(h.Name)
	isModule := strings.HasSuffix(base, ".ko.xz") || strings.HasSuffix(base, ".ko")
	version, isImage := strings.CutPrefix(h.Name, "boot/vmlinuz-")
	if h.Typeflag != tar.TypeReg || !isModule && !isImage && base != "modules.builtin" {
		return nil
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch {
	case isImage:
		k.Version, k.Image = version, data
	case isModule:
		k.packed[moduleName(base)] = data
		k.files[moduleName(base)] = strings.TrimSuffix(base, ".xz")
		if strings.Contains(h.Name, "/crypto/") {
			k.crypto = append(k.crypto, moduleName(base))
		}
	default:
		for line := range strings.Lines(string(data)) {
			k.builtin[moduleName(path.Base(strings.TrimSpace(line)))] = true
		}
	}
	return nil
}

// moduleName is the kernel's name of a module's file: underscores, no suffix.
func moduleName(file string) string {
	name, _, _ := strings.Cut(file, ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// Order returns the modules that the wanted ones need, those first, each once:
// what modprobe would insert, in that order. What is built in is left out.
func (k *Kernel) Order(wanted []string) ([]Module, error) {
	o := order{k: k, seen: map[string]bool{}}
	for _, name := range wanted {
		if err := o.add(name); err != nil {
			return nil, fmt.Errorf("modules of kernel %s: %w", k.Version, err)
		}
	}
	return o.all, nil
}

type order struct {
	k    *Kernel
	seen map[string]bool
	all  []Module
}

func (o *order) add(name string) error {
	name = moduleName(name)
	if o.seen[name] || o.k.builtin[name] {
		return nil
	}
	o.seen[name] = true
	m, err := o.k.info(name)
	if err != nil {
		return err
	}
	if err := o.soft(m.before); err != nil {
		return err
	}
	for _, d := range m.depends {
		if err := o.add(d); err != nil {
			return fmt.Errorf("%s needs %w", name, err)
		}
	}
	o.all = append(o.all, Module{File: o.k.files[name], Data: o.k.plain[name]})
	return nil
}

// soft adds what softdeps name, a module or an alias such as crc32c; what this
// kernel does not have is no error.
func (o *order) soft(names []string) error {
	for _, n := range names {
		found := []string{moduleName(n)}
		if o.k.packed[found[0]] == nil {
			var err error
			if found, err = o.k.aliased(n); err != nil {
				return err
			}
		}
		for _, f := range found {
			if err := o.add(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// info unpacks a module and reads what it says about itself.
func (k *Kernel) info(name string) (info, error) {
	if m, ok := k.infos[name]; ok {
		return m, nil
	}
	packed, ok := k.packed[name]
	if !ok {
		return info{}, fmt.Errorf("%s: this kernel has no such module", name)
	}
	data, err := unpack(packed)
	if err != nil {
		return info{}, fmt.Errorf("unpack %s: %w", name, err)
	}
	m, err := parseModule(data)
	if err != nil {
		return info{}, fmt.Errorf("read %s: %w", name, err)
	}
	k.infos[name], k.plain[name] = m, data
	return m, nil
}

func unpack(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("\x7fELF")) {
		return data, nil
	}
	r, err := xz.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// aliased finds the modules that answer to an alias without wildcards. Aliases
// in softdeps are names of crypto algorithms; unpacking only those modules spares
// a thousand others.
func (k *Kernel) aliased(alias string) (names []string, err error) {
	for _, name := range slices.Sorted(slices.Values(k.crypto)) {
		m, err := k.info(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(m.aliases, alias) {
			names = append(names, name)
		}
	}
	return names, nil
}
