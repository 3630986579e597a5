package debian

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Package is one version of a binary package as an index has it.
type Package struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Filename string `json:"filename"` // below the mirror's address
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"`
	// Via is the metapackage whose newest dependency this was, for packages that
	// carry a version in their name.
	Via string `json:"via,omitempty"`

	depends  [][]string // each an "or" of names
	provides []string
}

// stanzas calls visit for each paragraph of a control file (deb-control(5)):
// fields by name, continuation lines joined by newlines.
func stanzas(r io.Reader, visit func(map[string]string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	fields, last := map[string]string{}, ""
	for s.Scan() {
		line := s.Text()
		switch {
		case strings.TrimSpace(line) == "":
			if len(fields) > 0 {
				if err := visit(fields); err != nil {
					return err
				}
			}
			fields, last = map[string]string{}, ""
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += "\n" + strings.TrimSpace(line)
		default:
			name, value, _ := strings.Cut(line, ":")
			last = name
			fields[last] = strings.TrimSpace(value)
		}
	}
	if err := s.Err(); err != nil {
		return err
	}
	if len(fields) > 0 {
		return visit(fields)
	}
	return nil
}

func packageOf(f map[string]string) (Package, error) {
	size, err := strconv.ParseInt(f["Size"], 10, 64)
	if err != nil || f["Package"] == "" || len(f["SHA256"]) != 64 {
		return Package{}, fmt.Errorf("package %q without name, size or SHA-256", f["Package"])
	}
	return Package{
		Name: f["Package"], Version: f["Version"], Filename: f["Filename"], Size: size, SHA256: f["SHA256"],
		depends:  append(relations(f["Pre-Depends"]), relations(f["Depends"])...),
		provides: flat(relations(f["Provides"])),
	}, nil
}

// relations reads "a (>= 1), b:any | c" as {{a}, {b, c}}; versions are left out:
// one suite of Debian is consistent in itself.
func relations(s string) (all [][]string) {
	for clause := range strings.SplitSeq(s, ",") {
		var names []string
		for choice := range strings.SplitSeq(clause, "|") {
			name, _, _ := strings.Cut(strings.TrimSpace(choice), " ")
			name, _, _ = strings.Cut(name, ":")
			name, _, _ = strings.Cut(name, "(")
			if name != "" {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			all = append(all, names)
		}
	}
	return all
}

func flat(lists [][]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
