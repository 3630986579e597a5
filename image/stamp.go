package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image/atomicfile"
)

// recipe counts up when a step makes other bytes of the same inputs, so that
// what older builders left is made again.
const recipe = "1"

// once runs produce unless the file of that name was made of the same
// inputs before and has not been touched since. Files are made beside the
// artefacts and published when all of them are there.
func (b *build) once(name string, inputs []string, produce func(path string) error) (int64, bool, error) {
	stamp := filepath.Join(b.work(), strings.ReplaceAll(name, "/", "-")+".stamp")
	key := digestOf(append([]string{recipe, name}, inputs...))
	if was, err := os.ReadFile(stamp); err == nil && b.same(name, key, string(was)) {
		return sizeOf(b.path(name)), true, nil
	}
	_ = os.Remove(stamp)
	if err := produce(b.path(name)); err != nil {
		return 0, false, err
	}
	f, err := manifest.Describe(b.made(), name)
	if err != nil {
		return 0, false, err
	}
	return f.Size, false, atomicfile.WriteBytes(stamp, 0o644, []byte(key+" "+f.SHA256))
}

func (b *build) same(name, key, stamp string) bool {
	wantKey, wantSum, _ := strings.Cut(stamp, " ")
	if key != wantKey {
		return false
	}
	f, err := manifest.Describe(b.made(), name)
	return err == nil && f.SHA256 == wantSum
}

// publish gives the files their places in the output folder, by hard link: one
// after the other, but each whole.
func (b *build) publish(names []string) error {
	for _, name := range names {
		to := filepath.Join(b.Out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		temp := to + ".new"
		if err := os.RemoveAll(temp); err != nil {
			return err
		}
		if err := os.Link(b.path(name), temp); err != nil {
			return err
		}
		if err := os.Rename(temp, to); err != nil { // does nothing when both are one file already
			return err
		}
		_ = os.Remove(temp)
	}
	return nil
}

func digestOf(inputs []string) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q", inputs)))
	return hex.EncodeToString(sum[:])
}

// exclude keeps a second build out of the same folder until the returned
// function is called; the kernel lets go when the process dies.
func (b *build) exclude() (func(), error) {
	f, err := os.OpenFile(filepath.Join(b.work(), "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another build works in %s: wait for it, or give another --out", b.Out)
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
