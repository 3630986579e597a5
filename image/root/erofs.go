package root

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ingot-os/ingot/image/debian/deb"
	"github.com/ingot-os/ingot/image/tree"
)

// filesystemID is the root image's UUID: always the same, the digest tells
// images apart.
const filesystemID = "1e6076f5-6f73-4c9b-8a5e-000000000001"

// Compression of the root image. Level 9 makes it 6 % smaller and takes 4.4 times
// the processor time, on every build that changed a program.
const Compression = "zstd,level=3"

// Mkfs is Debian 13's mkfs.erofs with its libraries, unpacked and never
// installed: that of the machine may be too old for zstd.
type Mkfs struct{ dir string }

// UnpackMkfs makes the tool in dir from the packages of erofs-utils and its
// dependencies. A folder that is there is taken as it is.
func UnpackMkfs(dir string, packages []string) (Mkfs, error) {
	if _, err := os.Stat(dir); err == nil {
		return Mkfs{dir}, nil
	}
	var t tree.Tree
	for _, p := range packages {
		if err := deb.Unpack(p, &t, neededByMkfs); err != nil {
			return Mkfs{}, err
		}
	}
	temp := dir + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return Mkfs{}, err
	}
	if err := t.Write(temp); err != nil {
		return Mkfs{}, err
	}
	return Mkfs{dir}, os.Rename(temp, dir)
}

func neededByMkfs(name string) bool {
	return name == "usr/bin/mkfs.erofs" ||
		strings.HasPrefix(name, "usr/lib/x86_64-linux-gnu/lib") || strings.HasPrefix(name, "usr/lib/x86_64-linux-gnu/ld-") ||
		strings.HasPrefix(name, "usr/lib64/")
}

// EROFS writes the tree as an EROFS image into the file out. scratch is a folder
// for the tree on its way; it is removed.
func (m Mkfs) EROFS(ctx context.Context, t *tree.Tree, scratch, out string) error {
	defer os.RemoveAll(scratch)
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	if err := t.Write(scratch); err != nil {
		return err
	}
	_ = os.Remove(out)
	lib := filepath.Join(m.dir, "usr/lib/x86_64-linux-gnu")
	cmd := exec.CommandContext(ctx, filepath.Join(lib, "ld-linux-x86-64.so.2"), "--library-path", lib,
		filepath.Join(m.dir, "usr/bin/mkfs.erofs"), "--quiet",
		"-z"+Compression, "-C65536", "-T0", "-U"+filesystemID, "--all-root", out, scratch)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make the root image: mkfs.erofs: %w: %s", err, lastLine(talk.String()))
	}
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
