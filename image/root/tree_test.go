package root

import (
	"io/fs"
	"strings"
	"testing"
	"time"
)

func TestTreeHoldsTheContract(t *testing.T) {
	programs := map[Program]string{}
	for _, p := range Programs {
		programs[p] = "tree_test.go"
	}
	tr, err := Tree(Release{Version: "1.2", Profile: "vm", Built: time.Unix(1700000000, 0).UTC()}, &Kernel{Version: "7.1"}, []Module{{"b.ko", []byte("b")}, {"a.ko", []byte("a")}}, programs)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sbin/initd", "bin/ingotd", "bin/ingot-engine", "bin/containerd-shim-runc-v2", "bin/runc"} {
		if e, ok := tr.Lookup(name); !ok || e.Mode != 0o755 {
			t.Errorf("%s: %v, %v", name, ok, e.Mode)
		}
	}
	for _, name := range []string{"dev", "proc", "sys", "run", "var", "tmp"} {
		if e, ok := tr.Lookup(name); !ok || !e.Mode.IsDir() {
			t.Errorf("no folder %s", name)
		}
	}
	for name, want := range map[string]string{
		"lib/modules/load":       "/lib/modules/7.1/b.ko\n/lib/modules/7.1/a.ko\n",
		"etc/group":              "root:x:0:\ningot:x:900:\n",
		"etc/ingot/release.json": `{"version":"1.2","profile":"vm","built":"2023-11-14T22:13:20Z"}` + "\n",
		"lib/modules/7.1/a.ko":   "a",
	} {
		if e, _ := tr.Lookup(name); string(e.Data) != want {
			t.Errorf("%s: %q, want %q", name, e.Data, want)
		}
	}
	if e, _ := tr.Lookup("etc/passwd"); !strings.Contains(string(e.Data), "ingot-logs:x:905:900::/:/nonexistent\n") {
		t.Errorf("passwd: %s", e.Data)
	}
	if e, _ := tr.Lookup("etc/resolv.conf"); e.Mode.Type() != fs.ModeSymlink || e.Link != "/run/ingot/resolv.conf" {
		t.Errorf("resolv.conf: %+v", e)
	}
}

func TestReasonNamesPackages(t *testing.T) {
	runc := Program{Package: "runc", Cgo: true}
	if s := runc.reason("Package libseccomp was not found in the pkg-config search path"); !strings.Contains(s, "libseccomp-dev") {
		t.Error(s)
	}
	if s := (Program{}).reason("write /x: no space left on device"); !strings.Contains(s, "free some space") {
		t.Error(s)
	}
	if s := (Program{}).reason("x.go:1: undefined: y\n"); s != ":\nx.go:1: undefined: y" {
		t.Errorf("%q", s)
	}
}
