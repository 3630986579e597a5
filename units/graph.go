package units

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Graph is a set of units with its implicit dependencies made explicit and its
// edges readable from both ends.
type Graph struct {
	set   *Set
	edges map[string]*edges
}

type edges struct {
	requires, wants, bindsTo, after    map[string]bool
	requiredBy, boundBy, parts, before map[string]bool
	activatedBy                        map[string]bool
}

// NewGraph adds what systemd adds by itself: a target comes after what it pulls
// in (systemd.target(5)), a socket or timer before what it activates, a service
// after its sockets.
func NewGraph(set *Set) *Graph {
	g := &Graph{set: set, edges: map[string]*edges{}}
	for _, name := range slices.Sorted(maps.Keys(set.Units)) {
		g.add(set.Units[name])
	}
	return g
}

func (g *Graph) add(u *Unit) {
	for _, v := range u.Requires {
		g.require(u.Name, v)
	}
	for _, v := range u.BindsTo {
		g.require(u.Name, v)
		g.at(u.Name).bindsTo[v], g.at(v).boundBy[u.Name] = true, true
	}
	for _, v := range u.Wants {
		g.at(u.Name).wants[v] = true
	}
	for _, v := range u.PartOf {
		g.at(v).parts[u.Name] = true
	}
	for _, v := range u.After {
		g.order(v, u.Name)
	}
	for _, v := range u.Before {
		g.order(u.Name, v)
	}
	if s := u.Activates(); s != "" {
		g.order(u.Name, s)
		g.at(s).activatedBy[u.Name] = true
	}
	if u.Kind == KindTarget && u.DefaultDependencies {
		for _, v := range u.mentions() {
			if other := g.set.Units[v]; other != nil && other.DefaultDependencies && !slices.Contains(other.After, u.Name) {
				g.order(v, u.Name)
			}
		}
	}
}

func (g *Graph) at(name string) *edges {
	e := g.edges[name]
	if e == nil {
		e = &edges{}
		for _, m := range []*map[string]bool{
			&e.requires, &e.wants, &e.bindsTo, &e.after, &e.requiredBy, &e.boundBy, &e.parts, &e.before, &e.activatedBy,
		} {
			*m = map[string]bool{}
		}
		g.edges[name] = e
	}
	return e
}

func (g *Graph) require(u, v string) {
	g.at(u).requires[v], g.at(v).requiredBy[u] = true, true
}

func (g *Graph) order(first, then string) {
	if first != then {
		g.at(then).after[first], g.at(first).before[then] = true, true
	}
}

// Unit returns a unit by name, or nil.
func (g *Graph) Unit(name string) *Unit { return g.set.Units[name] }

// Follows tells whether then is ordered after first.
func (g *Graph) Follows(then, first string) bool { return g.at(then).after[first] }

// Neighbours are the units that a unit is ordered against, either way.
func (g *Graph) Neighbours(name string) []string {
	return sorted(g.at(name).after, g.at(name).before)
}

// RequiredBy are the units that fail if this one cannot start, and stop when it
// is stopped.
func (g *Graph) RequiredBy(name string) []string { return sorted(g.at(name).requiredBy) }

// BoundBy are the units that stop when this one ends for whatever reason.
func (g *Graph) BoundBy(name string) []string { return sorted(g.at(name).boundBy) }

// StoppedWith are the units that stop and restart with this one: RequiredBy and
// those that say PartOf=.
func (g *Graph) StoppedWith(name string) []string {
	return sorted(g.at(name).requiredBy, g.at(name).parts)
}

// ActivatedBy are the sockets and timers that start a service.
func (g *Graph) ActivatedBy(name string) []string { return sorted(g.at(name).activatedBy) }

func sorted(sets ...map[string]bool) []string {
	all := map[string]bool{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return slices.Sorted(maps.Keys(all))
}

// Start is the transaction of a start: the named unit and all that it pulls in,
// each after what it is ordered after. A wanted unit that is missing, broken or
// closes a cycle is left out, with a note; a required one is an error.
func (g *Graph) Start(name string) (order, notes []string, err error) {
	dropped := map[string]bool{}
	for {
		t := transaction{g: g, dropped: dropped, jobs: map[string]bool{}}
		if err := t.pull(name); err != nil {
			return nil, nil, err
		}
		order, cycle := t.sort()
		if cycle == nil {
			return order, append(notes, t.notes...), nil
		}
		victim := g.droppable(name, cycle)
		text := strings.Join(append(cycle, cycle[0]), " after ")
		if victim == "" {
			return nil, nil, fmt.Errorf("ordering cycle: %s", text)
		}
		dropped[victim] = true
		notes = append(notes, fmt.Sprintf("%s not started to break the ordering cycle %s", victim, text))
	}
}

// droppable picks a unit of a cycle that the anchor can do without.
func (g *Graph) droppable(anchor string, cycle []string) string {
	needed := map[string]bool{}
	g.needs(anchor, needed)
	for _, u := range cycle {
		if !needed[u] {
			return u
		}
	}
	return ""
}

func (g *Graph) needs(u string, seen map[string]bool) {
	if seen[u] {
		return
	}
	seen[u] = true
	for v := range g.at(u).requires {
		g.needs(v, seen)
	}
}

type transaction struct {
	g       *Graph
	dropped map[string]bool
	jobs    map[string]bool
	notes   []string
}

// pull adds a unit and what it needs. On error, what it had added stays out of
// the result only if the caller gives up; a wanted unit that fails is removed.
func (t *transaction) pull(name string) error {
	if t.jobs[name] {
		return nil
	}
	if err := t.loadable(name); err != nil {
		return err
	}
	t.jobs[name] = true
	for _, v := range sorted(t.g.at(name).requires) {
		if err := t.pull(v); err != nil {
			delete(t.jobs, name)
			return fmt.Errorf("%s requires %s: %w", name, v, err)
		}
	}
	for _, v := range sorted(t.g.at(name).wants) {
		if err := t.pull(v); err != nil {
			t.notes = append(t.notes, fmt.Sprintf("%s wants %s: %v", name, v, err))
		}
	}
	return nil
}

func (t *transaction) loadable(name string) error {
	switch {
	case t.dropped[name]:
		return fmt.Errorf("left out to break an ordering cycle")
	case t.g.set.Errors[name] != nil:
		return t.g.set.Errors[name]
	case t.g.set.Units[name] == nil:
		return fmt.Errorf("unit %q does not exist", name)
	}
	return nil
}

// sort orders the jobs, or returns one cycle among them.
func (t *transaction) sort() (order, cycle []string) {
	const entered, left = 1, 2
	mark := map[string]int{}
	var stack []string
	var visit func(string) []string
	visit = func(u string) []string {
		switch mark[u] {
		case left:
			return nil
		case entered:
			return slices.Clone(stack[slices.Index(stack, u):])
		}
		mark[u], stack = entered, append(stack, u)
		for _, v := range sorted(t.g.at(u).after) {
			if t.jobs[v] {
				if c := visit(v); c != nil {
					return c
				}
			}
		}
		mark[u], stack = left, stack[:len(stack)-1]
		order = append(order, u)
		return nil
	}
	for _, u := range slices.Sorted(maps.Keys(t.jobs)) {
		if c := visit(u); c != nil {
			return nil, c
		}
	}
	return order, nil
}
