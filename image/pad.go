package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image/atomicfile"
	"github.com/ingot-os/ingot/image/initramfs"
	"github.com/ingot-os/ingot/image/tree"
	"github.com/ingot-os/ingot/image/uki"
)

// The padding is a cpio archive of its own behind the initrd's: the kernel reads
// one after the other (Linux buffer-format.rst). Its only file is in the folder
// that stage one empties.
const (
	padFile  = "m/padding"
	padFrame = 512 // what the archive of one short-named file adds to its content
)

// Pad copies the boot files of the image in dir to out, with so many bytes of
// noise behind the initrd that vmlinuz and initrd together have total bytes, and
// returns the copy's manifest. What boots is the same. The same seed makes the
// same noise. It is for measuring how boot time depends on size.
func Pad(dir, out string, total int64, seed uint64) (*manifest.Manifest, error) {
	m, err := manifest.Read(dir)
	if err != nil {
		return nil, err
	}
	if m, err = pad(m, dir, out, total, seed); err != nil {
		return nil, fmt.Errorf("pad the image in %s: %w", dir, err)
	}
	return m, nil
}

func pad(m *manifest.Manifest, dir, out string, total int64, seed uint64) (*manifest.Manifest, error) {
	var parts [3][]byte
	for i, name := range []string{vmlinuzFile, initrdFile, ukiFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		parts[i] = data
	}
	linux, initrd, image := parts[0], parts[1], parts[2]
	more, err := noise(total-int64(len(linux)+len(initrd)), seed)
	if err != nil {
		return nil, fmt.Errorf("it has %d bytes, %d are wanted: %w", len(linux)+len(initrd), total, err)
	}
	if err := writePadded(out, linux, initrd, image, more); err != nil {
		return nil, err
	}
	padded := *m
	padded.Files = nil
	for _, name := range []string{vmlinuzFile, initrdFile, ukiFile} {
		f, err := manifest.Describe(out, name)
		if err != nil {
			return nil, err
		}
		padded.Files = append(padded.Files, f)
	}
	return &padded, padded.Write(out)
}

func writePadded(out string, linux, initrd, image, more []byte) error {
	if err := atomicfile.WriteBytes(filepath.Join(out, vmlinuzFile), 0o644, linux); err != nil {
		return err
	}
	err := atomicfile.Write(filepath.Join(out, initrdFile), 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, io.MultiReader(bytes.NewReader(initrd), bytes.NewReader(more)))
		return err
	})
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(out, ukiFile), 0o644, func(w io.Writer) error {
		return uki.Extend(w, image, uki.Section{Name: ".initrd", Size: int64(len(more)), Data: bytes.NewReader(more)})
	})
}

// noise is an archive of size bytes. What is too little for a block is zeros at
// its end, which the kernel skips.
func noise(size int64, seed uint64) ([]byte, error) {
	if size < 2*padFrame {
		return nil, fmt.Errorf("there must be %d bytes to add", 2*padFrame)
	}
	content := make([]byte, size/padFrame*padFrame-padFrame)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(content) // documented never to fail
	var out bytes.Buffer
	if err := initramfs.Write(&out, []tree.Entry{{Path: padFile, Mode: 0o600, Data: content}}); err != nil {
		return nil, err
	}
	out.Write(make([]byte, size-int64(out.Len())))
	return out.Bytes(), nil
}
