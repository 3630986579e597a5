package shipped_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-os/ingot/units"
	"github.com/ingot-os/ingot/units/shipped"
)

func load(t *testing.T) *units.Set {
	t.Helper()
	set, err := units.Load(units.Source{Name: "shipped", FS: shipped.FS})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestShippedUnitsAreWhole(t *testing.T) {
	set := load(t)
	for name, err := range set.Errors {
		t.Errorf("%s: %v", name, err)
	}
	for name, u := range set.Units {
		for _, w := range u.Warnings {
			t.Errorf("%s", w)
		}
		if u.Description == "" {
			t.Errorf("%s has no Description=", name)
		}
		if a := u.Activates(); a != "" && set.Units[a] == nil {
			t.Errorf("%s activates %s, which does not exist", name, a)
		}
		for _, other := range append(append(append([]string{}, u.After...), u.Wants...), u.Requires...) {
			if set.Units[other] == nil {
				t.Errorf("%s names %s, which does not exist", name, other)
			}
		}
	}
}

func TestTargetsStart(t *testing.T) {
	g := units.NewGraph(load(t))
	for _, target := range []string{"boot.target", "master.target", "agent.target", "public-agent.target"} {
		if _, notes, err := g.Start(target); err != nil || len(notes) > 0 {
			t.Errorf("%s: %v %q", target, err, notes)
		}
	}
}

// newer are directives that systemd has learned after version 252, which is the
// judge on Debian 12.
var newer = []string{"RestartSteps", "RestartMaxDelaySec", "RestartMode"}

func TestSystemdReadsThem(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze (package systemd)")
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no", "--generators=no"}
	err = fs.WalkDir(shipped.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(shipped.FS, p)
		if err != nil {
			return err
		}
		// Any program and user will do: those of the image are not here.
		s := strings.NewReplacer("/sbin/initd", "/bin/true", "/bin/ingotd", "/bin/true", "/bin/ingot-engine", "/bin/true").Replace(string(text))
		args = append(args, filepath.Join(dir, path.Base(p)))
		return os.WriteFile(filepath.Join(dir, path.Base(p)), []byte(s), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(analyze, args...).CombinedOutput() // its output judges
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) && !mentions(line, newer) {
			t.Error(strings.TrimSpace(line))
		}
	}
}

func mentions(line string, words []string) bool {
	for _, w := range words {
		if strings.Contains(line, w) {
			return true
		}
	}
	return false
}
