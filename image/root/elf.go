package root

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// info is what a kernel module says about itself in its section .modinfo.
type info struct {
	depends []string // modules whose symbols it uses
	before  []string // softdep pre: names or aliases to load first
	aliases []string
}

// parseModule reads .modinfo: "key=value" strings, each ended by NUL.
func parseModule(data []byte) (info, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return info{}, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return info{}, fmt.Errorf("no section .modinfo")
	}
	text, err := section.Data()
	if err != nil {
		return info{}, err
	}
	return parseModinfo(string(text)), nil
}

func parseModinfo(text string) (m info) {
	for field := range strings.SplitSeq(text, "\x00") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "depends":
			m.depends = append(m.depends, split(value, ",")...)
		case "softdep":
			m.before = append(m.before, before(value)...)
		case "alias":
			m.aliases = append(m.aliases, value)
		}
	}
	return m
}

// before reads the names after "pre:" in "pre: a b post: c" (modprobe.d(5)).
func before(softdep string) []string {
	_, rest, ok := strings.Cut(softdep, "pre:")
	if !ok {
		return nil
	}
	rest, _, _ = strings.Cut(rest, "post:")
	return strings.Fields(rest)
}

func split(s, sep string) []string {
	return slices.DeleteFunc(strings.Split(s, sep), func(f string) bool { return f == "" })
}
