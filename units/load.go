package units

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Source is a folder of unit files, with a name for diagnostics.
type Source struct {
	Name string
	FS   fs.FS
}

// Set is what Load found: units by name, and why others could not be read.
type Set struct {
	Units  map[string]*Unit
	Errors map[string]error
	files  map[string]File
	drops  map[string][]File // NAME.d/*.conf by NAME
}

// Load reads all unit files below the sources, folders within them included. Of
// two files with one name, the one in the earlier source counts. Drop-ins
// NAME.d/*.conf of all sources apply in order of their file names; the earlier
// source wins there too.
func Load(sources ...Source) (*Set, error) {
	s := &Set{Units: map[string]*Unit{}, Errors: map[string]error{}, files: map[string]File{}, drops: map[string][]File{}}
	for _, src := range sources {
		if err := s.read(src); err != nil {
			return nil, fmt.Errorf("read units from %s: %w", src.Name, err)
		}
	}
	for name := range s.files {
		if !strings.Contains(name, "@.") {
			s.parse(name, s.files[name])
		}
	}
	s.instantiate()
	return s, nil
}

func (s *Set) read(src Source) error {
	return fs.WalkDir(src.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == "." {
			return nil // a folder that is not there holds no units
		}
		if err != nil || d.IsDir() {
			return err
		}
		owner, dropIn := strings.CutSuffix(path.Base(path.Dir(p)), ".d")
		dropIn = dropIn && path.Ext(p) == ".conf"
		name := path.Base(p)
		if _, ok := KindOf(name); !ok && !dropIn {
			return nil
		}
		text, err := fs.ReadFile(src.FS, p)
		if err != nil {
			return err
		}
		f := File{Name: path.Join(src.Name, p), Text: text}
		switch {
		case dropIn:
			s.addDropIn(owner, f)
		case s.files[name].Name == "":
			s.files[name] = f
		}
		return nil
	})
}

func (s *Set) addDropIn(owner string, f File) {
	same := func(o File) bool { return path.Base(o.Name) == path.Base(f.Name) }
	if !slices.ContainsFunc(s.drops[owner], same) {
		s.drops[owner] = append(s.drops[owner], f)
	}
}

func (s *Set) parse(name string, f File) {
	drops := slices.Clone(s.drops[name])
	slices.SortFunc(drops, func(a, b File) int { return strings.Compare(path.Base(a.Name), path.Base(b.Name)) })
	u, err := Parse(name, append([]File{f}, drops...)...)
	if err != nil {
		s.Errors[name] = err
		return
	}
	s.Units[name] = u
}

// instantiate makes NAME@X.KIND out of NAME@.KIND for each name that a unit
// refers to.
func (s *Set) instantiate() {
	for again := true; again; {
		again = false
		for _, u := range s.Units {
			for _, name := range u.mentions() {
				again = s.Instance(name) || again
			}
		}
	}
}

// Instance makes one instance of a template; it tells whether there is one that
// was not there before.
func (s *Set) Instance(name string) bool {
	at := strings.IndexByte(name, '@')
	if at < 0 || s.Units[name] != nil || s.Errors[name] != nil {
		return false
	}
	f, ok := s.files[name[:at+1]+path.Ext(name)]
	if ok {
		s.parse(name, f)
	}
	return ok
}

func (u *Unit) mentions() []string {
	return slices.Concat(u.Wants, u.Requires, u.BindsTo)
}
