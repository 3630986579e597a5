package debian

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareVersions(t *testing.T) {
	ascending := []string{
		"0~beta", "0", "1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1.2", "1.10", "1.10a", "1.10+x",
		"6.12.107+deb13-1", "1:0.1", "2:0",
	}
	for i := range ascending {
		for j := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := compareVersions(ascending[i], ascending[j]); got != want {
				t.Errorf("%s against %s: %d, want %d", ascending[i], ascending[j], got, want)
			}
		}
	}
}

func TestRelations(t *testing.T) {
	got := relations("libc6 (>= 2.38), libacl1(>= 2), python3:any | python, , debconf (>= 0.5) | debconf-2.0")
	want := [][]string{{"libc6"}, {"libacl1"}, {"python3", "python"}, {"debconf", "debconf-2.0"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func index(t *testing.T, text string) *Index {
	t.Helper()
	ix := &Index{newest: map[string]Package{}, provides: map[string][]string{}}
	err := stanzas(strings.NewReader(text), func(f map[string]string) error {
		f["Size"], f["SHA256"] = "1", strings.Repeat("0", 64)
		p, err := packageOf(f)
		ix.add(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

const small = `
Package: web
Version: 1-1
Depends: libc6, awk, web-common (= 2-1), tool
 | other

Package: web
Version: 1-2
Depends: libc6, awk | nawk, web-common

Package: web-common
Version: 2-1
Depends: installer

Package: installer
Version: 1
Depends: heavy

Package: mawk
Version: 1
Provides: awk

Package: libc6
Version: 2
Depends: libc6

Package: meta
Version: 1
Depends: linux-image-7.1-cloud

Package: linux-image-7.1-cloud
Version: 7.1-1
`

func TestResolve(t *testing.T) {
	ix := index(t, small)
	for _, c := range []struct {
		name string
		set  Set
		want string
		fail string
	}{
		{"closure", Set{Roots: []string{"web"}, Except: []string{"installer"}}, "libc6=2 mawk=1 web=1-2 web-common=2-1", ""},
		{"alone", Set{Roots: []string{"web"}, Alone: true}, "web=1-2", ""},
		{"versioned", Set{Roots: []string{"meta"}, Versioned: "linux-image-"}, "linux-image-7.1-cloud=7.1-1", ""},
		{"unknown dependency", Set{Roots: []string{"web"}}, "", "package heavy is not in Debian"},
		{"unknown metapackage", Set{Roots: []string{"none"}, Versioned: "linux-image-"}, "", "no linux-image-* behind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ix.resolve(c.set)
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("error %v, want %q", err, c.fail)
				}
				return
			}
			var names []string
			for _, p := range got {
				names = append(names, p.Name+"="+p.Version)
			}
			if s := strings.Join(names, " "); err != nil || s != c.want {
				t.Errorf("%s, %v; want %s", s, err, c.want)
			}
		})
	}
}

func TestAptProxy(t *testing.T) {
	dump := "Acquire::http::Proxy::host.test \"DIRECT\";\nAcquire::http::Proxy \"http://proxy.test:3142\";\n"
	if u, err := aptProxy(dump, "http"); err != nil || u == nil || u.Host != "proxy.test:3142" {
		t.Errorf("%v, %v", u, err)
	}
	if u, err := aptProxy(dump, "https"); err != nil || u != nil {
		t.Errorf("%v, %v", u, err)
	}
}
