package units

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func graph(t *testing.T, files map[string]string) *Graph {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	set, err := Load(Source{Name: "test", FS: tree})
	if err != nil {
		t.Fatal(err)
	}
	return NewGraph(set)
}

const exec = "\n[Service]\nExecStart=/bin/x\n"

func TestStartClosureAndOrder(t *testing.T) {
	g := graph(t, map[string]string{
		"boot.target":      "[Unit]\nWants=b.service c.socket gone.service broken.service\n",
		"b.service":        "[Unit]\nRequires=a.service\nAfter=a.service" + exec,
		"a.service":        "[Unit]\nBefore=c.socket" + exec,
		"c.socket":         "[Socket]\nListenStream=80\n",
		"c.service":        exec,
		"broken.service":   "[Service]\n",
		"unrelated.timer":  "[Timer]\nOnBootSec=1\n",
		"deep/er/d@.timer": "[Timer]\nOnBootSec=1\n",
	})
	order, notes, err := g.Start("boot.target")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a.service", "b.service", "c.socket", "boot.target"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
	if len(notes) != 2 || !strings.Contains(notes[0], "broken.service") || !strings.Contains(notes[1], "gone.service") {
		t.Errorf("notes %q", notes)
	}
	if got := g.ActivatedBy("c.service"); !slices.Equal(got, []string{"c.socket"}) {
		t.Errorf("activated by %q", got)
	}
}

func TestRequiredUnitMissing(t *testing.T) {
	g := graph(t, map[string]string{"a.service": "[Unit]\nRequires=gone.service" + exec})
	if _, _, err := g.Start("a.service"); err == nil || !strings.Contains(err.Error(), `a.service requires gone.service: unit "gone.service" does not exist`) {
		t.Errorf("error %v", err)
	}
}

func TestCycles(t *testing.T) {
	g := graph(t, map[string]string{
		"boot.target": "[Unit]\nWants=w.service\nRequires=r.service\n",
		"w.service":   "[Unit]\nAfter=r.service" + exec,
		"r.service":   "[Unit]\nAfter=w.service" + exec,
		"x.service":   "[Unit]\nRequires=y.service\nAfter=y.service" + exec,
		"y.service":   "[Unit]\nRequires=x.service\nAfter=x.service" + exec,
	})
	order, notes, err := g.Start("boot.target")
	if err != nil || !slices.Equal(order, []string{"r.service", "boot.target"}) || len(notes) == 0 {
		t.Errorf("a wanted unit is dropped to break a cycle: order %q, notes %q, error %v", order, notes, err)
	}
	if _, _, err := g.Start("x.service"); err == nil || !strings.Contains(err.Error(), "ordering cycle: ") {
		t.Errorf("a cycle of required units is refused: %v", err)
	}
}

func TestDropInsAndTemplates(t *testing.T) {
	high := fstest.MapFS{
		"a.service.d/20.conf": {Data: []byte("[Service]\nUser=operator\n")},
		"b.service":           {Data: []byte("[Unit]\nDescription=high" + exec)},
	}
	low := fstest.MapFS{
		"x/a.service":         {Data: []byte("[Unit]\nWants=t@one.service" + exec)},
		"a.service.d/10.conf": {Data: []byte("[Service]\nUser=image\nGroup=image\n")},
		"b.service":           {Data: []byte("[Unit]\nDescription=low" + exec)},
		"t@.service":          {Data: []byte("[Unit]\nDescription=%i" + exec)},
	}
	set, err := Load(Source{"high", high}, Source{"low", low})
	if err != nil {
		t.Fatal(err)
	}
	if s := set.Units["a.service"].Service; s.User != "operator" || s.Group != "image" {
		t.Errorf("user %q, group %q", s.User, s.Group)
	}
	if d := set.Units["b.service"].Description; d != "high" {
		t.Errorf("description %q", d)
	}
	if u := set.Units["t@one.service"]; u == nil || u.Description != "one" {
		t.Errorf("instance %+v", u)
	}
}
