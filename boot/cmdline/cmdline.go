// Package cmdline owns Ingot's kernel command line: the constant that the image
// builder puts into every artefact, and the reading of /proc/cmdline on the node.
//
// The words follow the kernel's own rules (Documentation/admin-guide/
// kernel-parameters.rst): blanks part them, double quotes keep blanks, a later
// word wins over an earlier one, and in names dash and underscore are the same.
// It refuses nothing: what it does not know belongs to the kernel or to others.
package cmdline

import (
	"strconv"
	"strings"
)

// Base is the command line of every Ingot image.
//
// rootfstype=ramfs lets EROFS be mounted from a file of the initramfs without a
// loop device. transparent_hugepage=never keeps the memory a role needs the same
// on machines of any size. tsc=unstable spares emulated machines the calibration.
const Base = "console=ttyS0 quiet panic=-1 tsc=unstable transparent_hugepage=never rootfstype=ramfs"

// Line is a parsed kernel command line, in order.
type Line []Word

// Word is one parameter; Bare says that it came without an equals sign.
type Word struct {
	Key   string
	Value string
	Bare  bool
}

// Parse reads a command line. What follows "--" is for init and is left out.
func Parse(s string) Line {
	var line Line
	for _, field := range split(s) {
		if field == "--" {
			break
		}
		key, value, has := strings.Cut(field, "=")
		line = append(line, Word{Key: unquote(key), Value: unquote(value), Bare: !has})
	}
	return line
}

// String writes the line so that Parse reads the same words again.
func (l Line) String() string {
	words := make([]string, 0, len(l))
	for _, w := range l {
		words = append(words, w.String())
	}
	return strings.Join(words, " ")
}

// String writes the word, with quotes where its value holds blanks.
func (w Word) String() string {
	if w.Bare {
		return w.Key
	}
	if strings.ContainsAny(w.Value, " \t\n") {
		return w.Key + `="` + w.Value + `"`
	}
	return w.Key + "=" + w.Value
}

// Lookup returns the value of the last word with that key, and whether there is one.
func (l Line) Lookup(key string) (string, bool) {
	for i := len(l) - 1; i >= 0; i-- {
		if same(l[i].Key, key) {
			return l[i].Value, true
		}
	}
	return "", false
}

// All returns the values of every word with that key, as for several console=.
func (l Line) All(key string) []string {
	var values []string
	for _, w := range l {
		if same(w.Key, key) {
			values = append(values, w.Value)
		}
	}
	return values
}

// Text returns the value of key, or otherwise when it is absent.
func (l Line) Text(key, otherwise string) string {
	if v, ok := l.Lookup(key); ok {
		return v
	}
	return otherwise
}

// Flag tells whether key is set: bare, or with a value that means yes.
func (l Line) Flag(key string) bool {
	v, ok := l.Lookup(key)
	switch strings.ToLower(v) {
	case "", "1", "y", "yes", "on", "true":
		return ok
	}
	return false
}

// Int returns the number at key, or otherwise when it is absent or no number.
func (l Line) Int(key string, otherwise int) int {
	v, _ := l.Lookup(key)
	n, err := strconv.Atoi(v)
	if err != nil {
		return otherwise
	}
	return n
}

func same(a, b string) bool {
	return strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}

// split parts s at blanks outside double quotes, which stay in the fields.
func split(s string) []string {
	quoted := false
	return strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n' || r == 0)
	})
}

func unquote(s string) string { return strings.ReplaceAll(s, `"`, "") }
