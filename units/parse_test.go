package units

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, name, text string) *Unit {
	t.Helper()
	u, err := Parse(name, File{Name: name, Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestSyntax(t *testing.T) {
	u := parse(t, "a.service", strings.Join([]string{
		"# a comment ending in a backslash \\",
		"[Unit]\r",
		"Description = two words  \r",
		"After=x.service \\",
		"; a comment inside a continuation",
		"  y.service",
		"[Service]",
		"ExecStart=/bin/a \"b c\" 'd' e\\x20f \\",
		" $G ${H}i $$j",
		"ExecStartPre=-/bin/one ; +:/bin/two \\; x",
		"TimeoutStartSec=1min 30s",
		"KillSignal=SIGINT",
		"[X-Other]",
		"Any=thing",
	}, "\n"))
	if len(u.Warnings) > 0 {
		t.Errorf("warnings: %v", u.Warnings)
	}
	if u.Description != "two words" || !slices.Equal(u.After, []string{"x.service", "y.service"}) {
		t.Errorf("description %q, after %q", u.Description, u.After)
	}
	env := map[string]string{"G": "g1 g2", "H": "h"}
	got := u.Service.ExecStart[0].Expand(func(n string) string { return env[n] })
	if want := []string{"/bin/a", "b c", "d", "e f", "g1", "g2", "hi", "$j"}; !slices.Equal(got, want) {
		t.Errorf("argv %q, want %q", got, want)
	}
	want := []Command{{Argv: []string{"/bin/one"}, IgnoreFail: true}, {Argv: []string{"/bin/two", ";", "x"}, Privileged: true, Verbatim: true}}
	if d := cmp.Diff(want, u.Service.ExecStartPre); d != "" {
		t.Error(d)
	}
	if u.Service.TimeoutStart != 90*time.Second || u.Service.KillSignal != 2 {
		t.Errorf("timeout %s, signal %d", u.Service.TimeoutStart, u.Service.KillSignal)
	}
}

func TestWarningsHavePlaces(t *testing.T) {
	u := parse(t, "a.service", "[Unit]\nNonsense=1\n[Service]\nExecStart=/bin/a\n  Restart=sometimes\njunk\n[Install]\nWantedBy=b.target\nExecStart=a\n")
	var got []string
	for _, w := range u.Warnings {
		got = append(got, w.String())
	}
	want := []string{
		"a.service:6:1: line has no =, ignored",
		"a.service:2:1: Nonsense= is not supported in [Unit], ignored",
		`a.service:5:11: Restart=: "sometimes" is not one of no always on-success on-failure, ignored`,
		"a.service:8:1: section [Install] is not supported, WantedBy= ignored",
		"a.service:9:1: section [Install] is not supported, ExecStart= ignored",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ unit, text, want string }{
		"NUL":          {"a.service", "[Unit]\nX\x00", "a.service:2:2: NUL"},
		"long line":    {"a.service", strings.Repeat("x", MaxLine+1), "longer than 1 MiB"},
		"no program":   {"a.service", "[Service]\nType=simple\n", "no ExecStart="},
		"two programs": {"a.service", "[Service]\nExecStart=/a\nExecStart=/b\n", "more than one"},
		"kind":         {"a.banana", "", "ends in none of"},
		"silent":       {"a.socket", "[Socket]\n", "no ListenStream="},
		"timeless":     {"a.timer", "[Timer]\n", "no OnBootSec="},
		"escape":       {"a.service", "[Service]\nExecStart=/a\nStateDirectory=../x\n", "stay below"},
	} {
		_, err := Parse(c.unit, File{Name: c.unit, Text: []byte(c.text)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1.5h": 90 * time.Minute, "5min 20s": 320 * time.Second, "2m3ms": 2*time.Minute + 3*time.Millisecond,
		"1w": 168 * time.Hour, "infinity": Forever, "100us": 100 * time.Microsecond,
	} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1 fortnight", "-1", "99999999y"} {
		if d, err := ParseSpan(text); err == nil {
			t.Errorf("%q: %s, want an error", text, d)
		}
	}
}

func TestSpecifiers(t *testing.T) {
	u := parse(t, "web@8080.service", "[Service]\nExecStart=/bin/%p %i %n %N 100%%\n")
	if got, want := strings.Join(u.Service.ExecStart[0].Argv, " "), "/bin/web 8080 web@8080.service web@8080 100%"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[Service]\nExecStart=/a \"b\\x41\" ${C} \\\n d\nMemoryMax=1G\n")
	f.Add("[Socket]\nListenStream=80\n")
	f.Fuzz(func(_ *testing.T, text string) {
		for _, name := range []string{"a@b.service", "a.socket", "a.timer", "a.target"} {
			if u, err := Parse(name, File{Name: name, Text: []byte(text)}); err == nil {
				for _, c := range u.Service.ExecStart {
					c.Expand(strings.ToLower)
				}
			}
		}
	})
}
