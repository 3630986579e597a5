package debian

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MirrorEnv overrules what apt's configuration says.
const MirrorEnv = "DEBIAN_MIRROR"

// suites are the names under which Debian's main archive is subscribed to; the
// mirror of any of them has Debian 13 too.
var suites = []string{
	"bullseye", "bookworm", "trixie", "forky", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// Mirror returns the address of a mirror of Debian's main archive: that of
// DEBIAN_MIRROR, else the first in apt's configuration below etc ("/etc/apt").
func Mirror(etc string) (string, error) {
	if m := os.Getenv(MirrorEnv); m != "" {
		return strings.TrimRight(m, "/"), nil
	}
	files := []string{filepath.Join(etc, "sources.list")}
	for _, pattern := range []string{"*.sources", "*.list"} {
		more, _ := filepath.Glob(filepath.Join(etc, "sources.list.d", pattern))
		files = append(files, more...)
	}
	for _, file := range files {
		if m := mirrorIn(file); m != "" {
			return m, nil
		}
	}
	return "", errors.New("no mirror of Debian in apt's configuration: set " + MirrorEnv + " to the address of one (what ends in /debian)")
}

func mirrorIn(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if strings.HasSuffix(file, ".sources") {
		return mirrorOfStanzas(string(data))
	}
	for line := range strings.Lines(string(data)) {
		if m := mirrorOfLine(line); m != "" {
			return m
		}
	}
	return ""
}

// mirrorOfLine reads sources.list(5)'s one-line style: deb [options] URI suite components.
func mirrorOfLine(line string) string {
	line, _, _ = strings.Cut(line, "#")
	if open, rest, ok := strings.Cut(line, "["); ok {
		_, after, _ := strings.Cut(rest, "]")
		line = open + after
	}
	f := strings.Fields(line)
	if len(f) < 4 || f[0] != "deb" {
		return ""
	}
	return mainArchive(f[1:2], f[2:3], f[3:])
}

// mirrorOfStanzas reads the deb822 style.
func mirrorOfStanzas(text string) (found string) {
	_ = stanzas(strings.NewReader(text), func(f map[string]string) error {
		if found != "" || f["Enabled"] == "no" || !slices.Contains(strings.Fields(f["Types"]), "deb") {
			return nil
		}
		found = mainArchive(strings.Fields(f["URIs"]), strings.Fields(f["Suites"]), strings.Fields(f["Components"]))
		return nil
	})
	return found
}

func mainArchive(uris, in, components []string) string {
	if !slices.Contains(components, "main") || !slices.ContainsFunc(in, func(s string) bool { return slices.Contains(suites, s) }) {
		return ""
	}
	for _, u := range uris {
		if strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://") {
			return strings.TrimRight(u, "/")
		}
	}
	return ""
}
