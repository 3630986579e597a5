// Package ingot holds the tests of the whole house: which room may import
// which, and that every package says what it is.
package ingot

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ingot-os/ingot/"

// rooms is the table of design section 2: what each top-level folder may import
// of ours, and why the line is drawn there.
var rooms = map[string]struct {
	may []string
	why string
}{
	"api":         {[]string{"api"}, "the nouns are a leaf: every room may import them"},
	"boot":        {[]string{"api", "boot"}, "builder, provisioner and node share it, so it knows none of them"},
	"units":       {[]string{"api", "units"}, "the unit language is pure"},
	"initd":       {[]string{"api", "boot", "units", "initd"}, "PID 1 meets the services only at a socket"},
	"image":       {[]string{"api", "boot", "units", "image"}, "the builder packs programs, it does not link them"},
	"provisioner": {[]string{"api", "boot", "provisioner"}, "any program can provision: no node or cluster code in it"},
	"services":    {[]string{"api", "units", "services"}, "components can be replaced, faked or killed in a test"},
	"qemu-tests":  {[]string{"api", "qemu-tests"}, "it drives built programs, not their insides"},
	"cmd":         {[]string{"api", "boot", "units", "initd", "image", "provisioner", "services", "qemu-tests", "cmd"}, "the wiring"},
	"examples":    {[]string{"api"}, "definitions to try"},
}

// services import each other's insides only where one process is made of
// several packages.
var serviceFamilies = map[string][]string{
	"scheduler": {"apps", "store"},
	"agent":     {"runtime"},
	"gc":        {"runtime"},
}

// standardOnly are the rooms that import nothing but the standard library.
var standardOnly = []string{"api"}

// initdFirst is what may be linked into PID 1's program besides ours.
var initdMay = []string{
	"golang.org/x/", "github.com/vishvananda/", "github.com/insomniacslk/dhcp", "github.com/mdlayher/",
	"github.com/coreos/go-systemd/v22", "github.com/u-root/", "github.com/beevik/ntp",
}

type source struct {
	path    string // slash separated, from the root
	pkg     string
	doc     bool
	imports []string
	test    bool
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); path != "." && (strings.HasPrefix(n, ".") || n == "build" || n == "testdata" || n == "tools" || n == "hold") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(path), pkg: f.Name.Name, doc: f.Doc != nil, test: strings.HasSuffix(path, "_test.go")}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func room(path string) string { r, _, _ := strings.Cut(path, "/"); return r }

func TestRoomsImportOnlyTheirOwnDirection(t *testing.T) {
	for _, s := range sources(t) {
		if !strings.Contains(s.path, "/") {
			continue
		}
		from, known := rooms[room(s.path)]
		if !known {
			t.Errorf("%s: folder %q is not a room of the design: add it to the table with its reason", s.path, room(s.path))
			continue
		}
		for _, imp := range s.imports {
			ours, ok := strings.CutPrefix(imp, module)
			switch {
			case ok && !slices.Contains(from.may, room(ours)):
				t.Errorf("%s imports %s: %s", s.path, ours, from.why)
			case ok && room(s.path) == "services" && room(ours) == "services" && !s.test:
				checkServices(t, s.path, ours)
			case !ok && !s.test && slices.Contains(standardOnly, room(s.path)) && strings.Contains(strings.Split(imp, "/")[0], "."):
				t.Errorf("%s imports %s: %s uses the standard library only", s.path, imp, room(s.path))
			case !ok && !s.test && room(s.path) == "initd" && foreign(imp) && !hasPrefix(imp, initdMay):
				t.Errorf("%s imports %s: initd has few dependencies (add it to initdMay with care)", s.path, imp)
			}
		}
	}
}

func foreign(imp string) bool { return strings.Contains(strings.Split(imp, "/")[0], ".") }

func hasPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func checkServices(t *testing.T, path, imported string) {
	t.Helper()
	from, to := strings.Split(path, "/")[1], strings.Split(imported, "/")[1]
	if from != to && !slices.Contains(serviceFamilies[from], to) {
		t.Errorf("%s imports %s: components meet through clients, not each other's insides", path, imported)
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(s.path))
		documented[dir] = documented[dir] || s.doc
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment says what it owns and what it refuses", dir)
		}
	}
}

func TestNoGrabBags(t *testing.T) {
	for _, s := range sources(t) {
		for part := range strings.SplitSeq(strings.TrimSuffix(s.path, ".go"), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "types", "manager"}, part) {
				t.Errorf("%s: %q names a drawer; name the package for what it provides", s.path, part)
			}
		}
		if n := strings.Count(s.path, "/"); n > 3 {
			t.Errorf("%s: %d folders deep, three at the most", s.path, n)
		}
	}
}
