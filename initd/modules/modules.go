// Package modules loads the kernel modules of a node's running system: the
// oneshot behind `initd load-modules`.
//
// It owns nothing but the order: /lib/modules/load names one file per line,
// dependencies first, made by the image builder; there is no modprobe, no alias
// and no dependency search on a node. A module that is there already is fine; one
// whose hardware is missing is a warning; every other failure is an error, after
// all the rest has been tried. It starts no goroutines.
package modules

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// List is the file that names the modules.
const List = "/lib/modules/load"

// Run loads what the list names.
func Run(_ context.Context, args []string) error {
	fs := flag.NewFlagSet("load-modules", flag.ContinueOnError)
	list := fs.String("list", List, "file that names one module file per line, in order")
	if err := fs.Parse(args); err != nil {
		return err
	}
	f, err := os.Open(*list)
	if err != nil {
		return fmt.Errorf("read list of kernel modules: %w (the image is not complete)", err)
	}
	defer f.Close()
	paths, err := parse(f)
	if err != nil {
		return fmt.Errorf("read list of kernel modules %s: %w", *list, err)
	}
	began := time.Now()
	n, err := load(paths, insert, log.New(os.Stderr, "", 0))
	log.New(os.Stderr, "<6>", 0).Printf("%d of %d kernel modules loaded in %d ms", n, len(paths), time.Since(began).Milliseconds())
	return err
}

// parse reads a list; empty lines and lines with # are left out.
func parse(r io.Reader) ([]string, error) {
	var paths []string
	s := bufio.NewScanner(r)
	for s.Scan() {
		if p := strings.TrimSpace(s.Text()); p != "" && p[0] != '#' {
			paths = append(paths, p)
		}
	}
	return paths, s.Err()
}

// load tries them all and answers how many are in the kernel now.
func load(paths []string, insert func(string) error, warn *log.Logger) (int, error) {
	var failed []error
	n := 0
	for _, p := range paths {
		err := insert(p)
		switch {
		case err == nil, errors.Is(err, unix.EEXIST):
			n++
		case errors.Is(err, unix.ENODEV):
			warn.Printf("<4>kernel module %s: no hardware for it here", name(p))
		default:
			failed = append(failed, fmt.Errorf("load kernel module %s: %w%s", name(p), err, hint(err)))
		}
	}
	return n, errors.Join(failed...)
}

func insert(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

func name(path string) string { return strings.TrimSuffix(filepath.Base(path), ".ko") }

func hint(err error) string {
	switch {
	case errors.Is(err, unix.ENOENT):
		return " (its file or a module it needs is missing: see the order in the list)"
	case errors.Is(err, unix.ENOEXEC):
		return " (made for another kernel, or still compressed)"
	case errors.Is(err, unix.EPERM):
		return " (needs root and a kernel that takes modules)"
	}
	return ""
}
