// Package deb reads Debian's binary packages (deb(5), format 2.0): an ar archive
// with debian-binary, control.tar and data.tar.
//
// It gives the files of data.tar one by one and refuses packages that are cut
// short or of another format. It runs no maintainer scripts.
package deb

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/ingot-os/ingot/image/tree"
)

const (
	magic      = "!<arch>\n"
	headerSize = 60
)

// Walk calls visit for every file of the package at path, in the order of the
// package. Names are relative and clean; r is the content of regular files.
func Walk(file string, visit func(h *tar.Header, r io.Reader) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	data, closeData, err := open(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return fmt.Errorf("read package %s: %w", file, err)
	}
	defer closeData()
	if err := walk(tar.NewReader(data), visit); err != nil {
		return fmt.Errorf("read package %s: %w", file, err)
	}
	return nil
}

func walk(t *tar.Reader, visit func(*tar.Header, io.Reader) error) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		h.Name = strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if err := visit(h, t); err != nil {
			return err
		}
	}
}

// Unpack adds those files of the package that keep wants to the tree; nil keeps
// all. Hard links become copies.
func Unpack(file string, to *tree.Tree, keep func(name string) bool) error {
	return Walk(file, func(h *tar.Header, r io.Reader) error {
		if keep != nil && !keep(h.Name) {
			return nil
		}
		e, err := entry(h, r, to)
		if err != nil {
			return err
		}
		return to.Add(e)
	})
}

func entry(h *tar.Header, r io.Reader, from *tree.Tree) (tree.Entry, error) {
	e := tree.Entry{Path: h.Name, Mode: h.FileInfo().Mode()}
	switch h.Typeflag {
	case tar.TypeReg:
		data, err := io.ReadAll(r)
		e.Data = data
		return e, err
	case tar.TypeSymlink:
		e.Link = h.Linkname
		return e, nil
	case tar.TypeLink:
		first, ok := from.Lookup(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"))
		if !ok {
			return e, fmt.Errorf("%s is a hard link to %s, which is left out", h.Name, h.Linkname)
		}
		e.Mode, e.Data = first.Mode, first.Data
		return e, nil
	case tar.TypeDir:
		e.Mode = fs.ModeDir | e.Mode.Perm()
		return e, nil
	}
	return e, fmt.Errorf("%s: file of type %q", h.Name, h.Typeflag)
}

// open finds data.tar in the ar archive and returns its bytes, decompressed.
func open(r io.Reader) (io.Reader, func(), error) {
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(r, start); err != nil || string(start) != magic {
		return nil, nil, errors.New("not a Debian package")
	}
	for {
		name, size, err := member(r)
		if err != nil {
			return nil, nil, err
		}
		if suffix, ok := strings.CutPrefix(name, "data.tar"); ok {
			return decompress(suffix, bufio.NewReader(io.LimitReader(r, size)))
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return nil, nil, fmt.Errorf("member %s is cut short", name)
		}
	}
}

// member reads an ar header: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, end 2.
func member(r io.Reader) (name string, size int64, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return "", 0, errors.New("no data.tar in it")
	}
	size, err = strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
	if err != nil || size < 0 || string(h[58:]) != "`\n" {
		return "", 0, errors.New("broken ar header")
	}
	return strings.TrimRight(string(h[:16]), "/ "), size, nil
}

func decompress(suffix string, r io.Reader) (io.Reader, func(), error) {
	none := func() {}
	switch suffix {
	case "":
		return r, none, nil
	case ".xz":
		x, err := xz.NewReader(r)
		return x, none, err
	case ".gz":
		g, err := gzip.NewReader(r)
		return g, none, err
	case ".zst":
		z, err := zstd.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, fmt.Errorf("data.tar%s: unknown compression", suffix)
}
