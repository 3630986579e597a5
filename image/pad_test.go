package image

import (
	"bytes"
	"debug/pe"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image/initramfs"
	"github.com/ingot-os/ingot/image/tree"
)

// TestNoise: sizes are exact, and GNU cpio reads the archive.
func TestNoise(t *testing.T) {
	for _, size := range []int64{1024, 1025, 4095, 70000} {
		a, err := noise(size, 7)
		if err != nil || int64(len(a)) != size {
			t.Errorf("%d bytes of noise: %d, %v", size, len(a), err)
		}
		b, _ := noise(size, 7)
		if !bytes.Equal(a, b) {
			t.Errorf("%d bytes: the same seed makes something else", size)
		}
		if c, _ := noise(size, 8); bytes.Equal(a, c) {
			t.Errorf("%d bytes: another seed makes the same", size)
		}
	}
	if _, err := noise(1023, 1); err == nil {
		t.Error("1023 bytes hold no archive, and no error says so")
	}
}

func TestNoiseReadByCpio(t *testing.T) {
	tool, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio: install the package cpio")
	}
	a, err := noise(70000, 7)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, "-itv", "--quiet")
	cmd.Stdin = bytes.NewReader(a)
	text, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(text), " 69120 ") || !strings.Contains(string(text), padFile) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestPad pads the image built here, if there is one.
func TestPad(t *testing.T) {
	dir := filepath.Join("..", "build", "image")
	was, err := manifest.Read(dir)
	if err != nil {
		t.Skipf("needs a built image: %v (make image)", err)
	}
	out := t.TempDir()
	const total = 70_000_001
	m, err := Pad(dir, out, total, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(out); err != nil {
		t.Error(err)
	}
	linux, _ := m.Lookup(vmlinuzFile)
	initrd, _ := m.Lookup(initrdFile)
	if linux.Size+initrd.Size != total || m.Root != was.Root {
		t.Errorf("%d bytes, want %d", linux.Size+initrd.Size, total)
	}
	f, err := pe.Open(filepath.Join(out, ukiFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := f.Section(".initrd").Data()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(out, initrdFile))
	if err != nil || !bytes.Equal(data[:f.Section(".initrd").VirtualSize], file) {
		t.Errorf("the UKI's initrd is not the initrd: %v", err)
	}
	if _, err := Pad(dir, out, 1000, 3); err == nil || !strings.Contains(err.Error(), "1000 are wanted") {
		t.Errorf("smaller than it is: %v", err)
	}
}

// TestPadFrame holds the frame against the writer.
func TestPadFrame(t *testing.T) {
	var out bytes.Buffer
	content := make([]byte, 3*padFrame)
	if err := initramfs.Write(&out, []tree.Entry{{Path: padFile, Data: content}}); err != nil || out.Len() != 4*padFrame {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}
