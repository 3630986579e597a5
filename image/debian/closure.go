package debian

import (
	"fmt"
	"slices"
)

// Set says which packages belong together: roots, what they depend on unless
// Alone, without those in Except and what only they would bring.
type Set struct {
	Name   string
	Roots  []string
	Alone  bool
	Except []string
	// Versioned roots are metapackages: their dependency that starts with the
	// prefix is meant, as linux-image-cloud-amd64 means linux-image-6.12....
	Versioned string
}

// resolve returns the packages of a set by name, sorted.
func (ix *Index) resolve(s Set) ([]Package, error) {
	if s.Versioned != "" {
		return ix.versioned(s)
	}
	found := map[string]Package{}
	queue := slices.Clone(s.Roots)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		p, ok := ix.lookup(name)
		if !ok {
			return nil, fmt.Errorf("package %s is not in Debian %s", name, Suite)
		}
		if _, seen := found[p.Name]; seen || slices.Contains(s.Except, p.Name) {
			continue
		}
		found[p.Name] = p
		if !s.Alone {
			queue = append(queue, ix.choose(p.depends, found)...)
		}
	}
	return sorted(found), nil
}

func (ix *Index) versioned(s Set) ([]Package, error) {
	for _, root := range s.Roots {
		for _, name := range flat(ix.newest[root].depends) {
			if p, ok := ix.newest[name]; ok && len(name) > len(s.Versioned) && name[:len(s.Versioned)] == s.Versioned {
				p.Via = root
				return []Package{p}, nil
			}
		}
	}
	return nil, fmt.Errorf("no %s* behind %v in Debian %s", s.Versioned, s.Roots, Suite)
}

// choose takes of each "or" one that is there already, else the first known.
func (ix *Index) choose(clauses [][]string, found map[string]Package) (names []string) {
	for _, clause := range clauses {
		have := func(n string) bool { _, ok := found[n]; return ok }
		known := func(n string) bool { _, ok := ix.lookup(n); return ok }
		switch i := slices.IndexFunc(clause, known); {
		case slices.ContainsFunc(clause, have):
		case i >= 0:
			names = append(names, clause[i])
		default:
			names = append(names, clause[0])
		}
	}
	return names
}

// lookup finds a package by its name, else the first by name that provides it.
func (ix *Index) lookup(name string) (Package, bool) {
	if p, ok := ix.newest[name]; ok {
		return p, true
	}
	if by := ix.provides[name]; len(by) > 0 {
		return ix.newest[slices.Min(by)], true
	}
	return Package{}, false
}

func sorted(m map[string]Package) []Package {
	all := make([]Package, 0, len(m))
	for _, p := range m {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Package) int { return compareNames(a.Name, b.Name) })
	return all
}
