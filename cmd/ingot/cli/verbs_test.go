package cli

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the help pages anew")

// TestVerbs: each has help and an example that is itself a correct command
// line, and those that show data take --json.
func TestVerbs(t *testing.T) {
	for _, v := range table() {
		if v.short == "" || v.example == "" || v.group == "" || v.setup == nil {
			t.Errorf("%s: help, example, group or action is missing", v.name)
		}
		words, ok := strings.CutPrefix(v.example, "ingot "+v.name)
		if !ok {
			t.Errorf("%s: example %q is of something else", v.name, v.example)
		}
		if _, err := v.parse(words2args(words), &call{}); err != nil {
			t.Errorf("%s: example %q: %v", v.name, v.example, err)
		}
		_, verb, _ := strings.Cut(v.name, " ")
		if shows := verb == "ls" || verb == "show" || verb == "log" || v.name == "status"; shows != v.reads {
			t.Errorf("%s: reading verbs, and they alone, take --json", v.name)
		}
	}
}

// words2args splits as a shell does, as far as the examples go.
func words2args(s string) []string {
	var args []string
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	return args
}

// TestHelpPages keeps all pages in one file for reading; -update writes it.
func TestHelpPages(t *testing.T) {
	var got bytes.Buffer
	overview(&got)
	for _, v := range table() {
		if !v.hidden {
			got.WriteString("\n" + strings.Repeat("-", 72) + "\n")
			v.page(&got)
		}
	}
	const path = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("help differs from %s (go test ./cmd/ingot/cli -update writes it):\n%s", path, d)
	}
}
