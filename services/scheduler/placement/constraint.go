package placement

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/ingot-os/ingot/api"
)

// constraints returns the judge of single nodes. Counts are of the living
// nodes that offer the app's roles: an instance that is lost does not hold its
// place, and a public agent is no empty group of a private app.
func constraints(nodes []*Node, r Request) func(*Node) bool {
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return !shareRole(n.Roles, r.Roles) })
	var tests []func(*Node) bool
	for _, c := range r.Constraints {
		if api.CheckConstraint(c) != nil {
			return func(*Node) bool { return false } // stored by another release: fits nowhere rather than anywhere
		}
		tests = append(tests, constraint(nodes, r.App, append(slices.Clone(c), "")))
	}
	return func(n *Node) bool {
		return !slices.ContainsFunc(tests, func(ok func(*Node) bool) bool { return !ok(n) })
	}
}

func constraint(nodes []*Node, app string, c []string) func(*Node) bool {
	field, value := c[0], c[2]
	counts := countBy(nodes, app, field)
	on := func(test func(v string) bool) func(*Node) bool {
		return func(n *Node) bool { v, ok := n.field(field); return ok && test(v) }
	}
	switch c[1] {
	case "UNIQUE":
		return on(func(v string) bool { return counts[v] == 0 })
	case "MAX_PER":
		limit, _ := strconv.Atoi(value)
		return on(func(v string) bool { return counts[v] < limit })
	case "IS":
		return on(func(v string) bool { return v == value })
	case "LIKE":
		re := whole(value)
		return on(re.MatchString)
	case "UNLIKE":
		re := whole(value)
		return func(n *Node) bool { v, ok := n.field(field); return !ok || !re.MatchString(v) }
	case "CLUSTER":
		return on(func(v string) bool { return cluster(counts, v, value) })
	default: // GROUP_BY
		return on(func(v string) bool { return counts[v] == smallest(counts) })
	}
}

// whole matches all of a value, as Marathon's Java regular expressions do.
func whole(expr string) *regexp.Regexp { return regexp.MustCompile("^(?:" + expr + ")$") }

// cluster keeps all instances on one value: the named one, or that of the first.
func cluster(counts map[string]int, v, want string) bool {
	if want != "" {
		return v == want
	}
	for other, n := range counts {
		if n > 0 && other != v {
			return false
		}
	}
	return true
}

func smallest(counts map[string]int) int {
	low := -1
	for _, n := range counts {
		if low < 0 || n < low {
			low = n
		}
	}
	return low
}

func countBy(nodes []*Node, app, field string) map[string]int {
	counts := map[string]int{}
	for _, n := range nodes {
		if v, ok := n.field(field); ok {
			counts[v] += n.Apps[app]
		}
	}
	return counts
}

func (n *Node) field(name string) (string, bool) {
	if name == "hostname" || name == "@hostname" {
		return n.Name, true
	}
	v, ok := n.Attributes[name]
	return v, ok
}
