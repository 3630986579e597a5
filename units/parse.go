package units

import (
	"bytes"
	"fmt"
	"strings"
)

// MaxLine is the longest logical line that Parse accepts; systemd's LONG_LINE_MAX.
const MaxLine = 1 << 20

// Diagnostic is what is wrong at one place of a unit file.
type Diagnostic struct {
	File string
	Line int
	Col  int
	Text string
}

func (d Diagnostic) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Col, d.Text)
}

func (d Diagnostic) Error() string { return d.String() }

// assignment is one KEY=VALUE with the place of its key and value.
type assignment struct {
	section, key, value string
	line, col, valueCol int
}

// scanner splits a file into assignments, as systemd.syntax(7): comments start
// with # or ;, a backslash at the end of a line continues it with a space,
// comments inside a continuation are skipped.
type scanner struct {
	file    string
	section string
	out     []assignment
	warn    []Diagnostic
}

func scan(file string, text []byte) ([]assignment, []Diagnostic, error) {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		line := 1 + bytes.Count(text[:i], []byte("\n"))
		return nil, nil, Diagnostic{file, line, i - bytes.LastIndexByte(text[:i], '\n'), "NUL byte in unit file"}
	}
	s := &scanner{file: file}
	var joined strings.Builder
	start, n := 0, 0
	for raw := range strings.SplitSeq(string(text), "\n") {
		n++
		raw = strings.TrimSuffix(raw, "\r")
		if isComment(raw) {
			continue
		}
		if joined.Len() == 0 {
			start = n
		}
		if len(raw)+joined.Len() > MaxLine {
			return nil, nil, Diagnostic{file, n, 1, "line is longer than 1 MiB"}
		}
		if strings.HasSuffix(raw, `\`) {
			joined.WriteString(raw[:len(raw)-1] + " ")
			continue
		}
		joined.WriteString(raw)
		s.logical(start, joined.String())
		joined.Reset()
	}
	if joined.Len() > 0 { // the file ends inside a continuation
		s.logical(start, joined.String())
	}
	return s.out, s.warn, nil
}

func isComment(line string) bool {
	t := strings.TrimLeft(line, " \t")
	return t != "" && (t[0] == '#' || t[0] == ';')
}

func (s *scanner) logical(line int, text string) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return
	}
	col := 1 + strings.Index(text, trimmed)
	if trimmed[0] == '[' {
		s.header(line, col, trimmed)
		return
	}
	key, value, ok := strings.Cut(trimmed, "=")
	switch {
	case !ok:
		s.warnAt(line, col, "line has no =, ignored")
	case s.section == "":
		s.warnAt(line, col, "assignment before the first section, ignored")
	default:
		rest := strings.TrimLeft(value, " \t")
		valueCol := col + len(key) + 1 + len(value) - len(rest)
		s.out = append(s.out, assignment{s.section, strings.TrimSpace(key), strings.TrimSpace(value), line, col, valueCol})
	}
}

func (s *scanner) header(line, col int, text string) {
	if !strings.HasSuffix(text, "]") {
		s.section = ""
		s.warnAt(line, col+len(text), "section header does not end in ]")
		return
	}
	s.section = text[1 : len(text)-1]
}

func (s *scanner) warnAt(line, col int, format string, args ...any) {
	s.warn = append(s.warn, Diagnostic{s.file, line, col, fmt.Sprintf(format, args...)})
}

// Parse reads one unit file with its drop-ins, which are applied in order. A
// directive or value that is not understood becomes a warning and is ignored,
// as in systemd; an error means that there is no unit to speak of.
func Parse(name string, files ...File) (*Unit, error) {
	kind, ok := KindOf(name)
	if !ok {
		return nil, fmt.Errorf("unit %q: the name ends in none of .service .socket .timer .target", name)
	}
	u := newUnit(name, kind)
	for i, f := range files {
		if i == 0 {
			u.File = f.Name
		}
		assignments, warnings, err := scan(f.Name, f.Text)
		if err != nil {
			return nil, err
		}
		u.Warnings = append(u.Warnings, warnings...)
		for _, a := range assignments {
			u.apply(f.Name, a)
		}
	}
	u.finish()
	if err := u.validate(); err != nil {
		return nil, fmt.Errorf("unit %q: %w", name, err)
	}
	return u, nil
}

// File is one source of a unit.
type File struct {
	Name string
	Text []byte
}

func (u *Unit) apply(file string, a assignment) {
	warn := func(col int, format string, args ...any) {
		u.Warnings = append(u.Warnings, Diagnostic{file, a.line, col, fmt.Sprintf(format, args...)})
	}
	if strings.HasPrefix(a.section, "X-") || strings.HasPrefix(a.key, "X-") {
		return // systemd.unit(5): for other programs
	}
	table, known := directives[a.section]
	if !known {
		warn(a.col, "section [%s] is not supported, %s= ignored", a.section, a.key)
		return
	}
	if !sectionFits(a.section, u.Kind) {
		warn(a.col, "section [%s] does not belong in a %s, %s= ignored", a.section, u.Kind, a.key)
		return
	}
	set, known := table[a.key]
	if !known {
		warn(a.col, "%s= is not supported in [%s], ignored", a.key, a.section)
		return
	}
	value, err := expandSpecifiers(u.Name, a.value)
	if err == nil {
		err = set(u, value)
	}
	if err != nil {
		warn(a.valueCol, "%s=: %v, ignored", a.key, err)
	}
}

func sectionFits(section string, k Kind) bool {
	return section == "Unit" || section == "Install" || strings.EqualFold(section, string(k))
}
