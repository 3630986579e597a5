package cmdline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Line
	}{
		{"empty", " \n", nil},
		{"bare and valued", "quiet panic=-1\n", Line{{Key: "quiet", Bare: true}, {Key: "panic", Value: "-1"}}},
		{"empty value", "a= b", Line{{Key: "a"}, {Key: "b", Bare: true}}},
		{"quoted value", `a="x y" b`, Line{{Key: "a", Value: "x y"}, {Key: "b", Bare: true}}},
		{"quoted word", `"a=x y" b=1`, Line{{Key: "a", Value: "x y"}, {Key: "b", Value: "1"}}},
		{"equals in value", "root=UUID=7", Line{{Key: "root", Value: "UUID=7"}}},
		{"open quote", `a="x y`, Line{{Key: "a", Value: "x y"}}},
		{"words for init", "a=1 -- b=2", Line{{Key: "a", Value: "1"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Parse(c.in)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", c.in, d)
			}
			if d := cmp.Diff(got, Parse(got.String())); d != "" {
				t.Errorf("parse of %q (-first +again):\n%s", got.String(), d)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	l := Parse("console=tty0 console=ttyS0 ingot.wait=5 ingot.no-net debug=0 quiet")
	if v := l.Text("console", ""); v != "ttyS0" {
		t.Errorf("console = %q, the last one wins", v)
	}
	if d := cmp.Diff([]string{"tty0", "ttyS0"}, l.All("console")); d != "" {
		t.Error(d)
	}
	if n := l.Int("ingot.wait", 1); n != 5 {
		t.Errorf("ingot.wait = %d", n)
	}
	if n := l.Int("quiet", 7); n != 7 {
		t.Errorf("quiet as number = %d", n)
	}
	for key, want := range map[string]bool{"quiet": true, "ingot.no_net": true, "debug": false, "absent": false} {
		if l.Flag(key) != want {
			t.Errorf("Flag(%q) = %v", key, !want)
		}
	}
}

func TestBaseNeedsRamfs(t *testing.T) {
	if v := Parse(Base).Text("rootfstype", ""); v != "ramfs" {
		t.Errorf("rootfstype = %q: EROFS from a file needs ramfs", v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Base)
	f.Add(`a="b c" "d=e`)
	f.Fuzz(func(t *testing.T, s string) { _ = Parse(s).String() })
}
