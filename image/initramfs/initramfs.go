// Package initramfs writes an initial RAM file system: a cpio archive in the
// "newc" format (Linux Documentation/driver-api/early-userspace/
// buffer-format.rst), not compressed, in the order given.
//
// Everything belongs to root and was changed at time 0; inodes are numbered in
// order. It refuses files over 4 GiB, which the format cannot hold.
package initramfs

import (
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/ingot-os/ingot/image/tree"
)

const (
	trailer  = "TRAILER!!!"
	block    = 512 // GNU cpio pads archives to it, and loaders like whole sectors
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
)

// Write writes the entries in their order. Folders must come before what they
// hold: the kernel makes no missing ones.
func Write(w io.Writer, entries []tree.Entry) error {
	a := &archive{w: w}
	for _, e := range entries {
		if err := a.add(e); err != nil {
			return fmt.Errorf("write initramfs: %s: %w", e.Path, err)
		}
	}
	a.header(trailer, 0, 1, 0)
	a.pad(block)
	return a.err
}

type archive struct {
	w    io.Writer
	n    int64
	next uint32
	err  error
}

func (a *archive) add(e tree.Entry) error {
	mode, links := uint32(e.Mode.Perm()), uint32(1)
	switch e.Mode.Type() {
	case fs.ModeDir:
		a.next++
		a.header(e.Path, mode|typeDir, 2, 0)
		return a.err
	case fs.ModeSymlink:
		a.next++
		a.header(e.Path, mode|typeLink, links, int64(len(e.Link)))
		a.write([]byte(e.Link))
		a.pad(4)
		return a.err
	}
	r, size, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if size > math.MaxUint32 {
		return fmt.Errorf("%d bytes are too many for cpio", size)
	}
	a.next++
	a.header(e.Path, mode|typeFile, links, size)
	a.copy(r, size)
	a.pad(4)
	return a.err
}

// header writes magic and 13 fields of 8 hexadecimal digits: ino mode uid gid
// nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check.
func (a *archive) header(name string, mode, links uint32, size int64) {
	ino := a.next
	if name == trailer {
		ino = 0
	}
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		ino, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad(4)
}

func (a *archive) copy(r io.Reader, size int64) {
	if a.err != nil {
		return
	}
	n, err := io.Copy(a.w, io.LimitReader(r, size))
	a.n += n
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	a.err = err
}

func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
		a.n += int64(len(b))
	}
}

func (a *archive) pad(to int64) {
	if over := a.n % to; over != 0 {
		a.write(make([]byte, to-over))
	}
}
