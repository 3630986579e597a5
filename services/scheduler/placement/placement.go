// Package placement decides which node an instance goes to. It is pure: values
// in, a choice or the reasons against each node out; it keeps nothing, reads no
// clock and starts no goroutine.
//
// The rule: of the nodes that have room, host ports and the right role, and
// that the constraints allow, the one with the fewest instances of the same
// app; among equals the emptiest by memory, then by name. Reasons are
// Marathon's words (GET /v2/queue).
package placement

import (
	"cmp"
	"slices"

	"github.com/ingot-os/ingot/api"
)

// Reason is why a node was declined, in Marathon's words.
type Reason string

// The reasons, in the order in which Marathon lists them.
const (
	UnfulfilledRole       Reason = "UnfulfilledRole"
	UnfulfilledConstraint Reason = "UnfulfilledConstraint"
	InsufficientCPUs      Reason = "InsufficientCpus"
	InsufficientMemory    Reason = "InsufficientMemory"
	InsufficientDisk      Reason = "InsufficientDisk"
	InsufficientGPUs      Reason = "InsufficientGpus"
	InsufficientPorts     Reason = "InsufficientPorts"
)

// Reasons lists all of them in order.
var Reasons = []Reason{
	UnfulfilledRole, UnfulfilledConstraint, InsufficientCPUs,
	InsufficientMemory, InsufficientDisk, InsufficientGPUs, InsufficientPorts,
}

// Node is what placement knows of a living node.
type Node struct {
	Name       string
	Address    string
	Roles      []string // api.ResourceRoleAny for agents, ResourceRolePublic for public agents
	Attributes map[string]string
	Free       api.Resources
	Ports      map[int]bool   // host ports taken
	Apps       map[string]int // instances by app
}

// Request is one instance that wants a place.
type Request struct {
	App         string
	Res         api.Resources
	Ports       []int // fixed host ports; 0 is any of the task range
	Roles       []string
	Constraints [][]string
	Seed        int // where in the task range to begin, so that ports are not reused at once
}

// Choice is a place.
type Choice struct {
	Node  *Node
	Ports []int
}

// Declined is one node and all that speaks against it.
type Declined struct {
	Node    string
	Reasons []Reason
}

// Place chooses a node, or says why none will do.
func Place(nodes []*Node, r Request) (Choice, []Declined, bool) {
	var fit []Choice
	var out []Declined
	allowed := constraints(nodes, r)
	for _, n := range nodes {
		ports, why := judge(n, r, allowed)
		if len(why) > 0 {
			out = append(out, Declined{n.Name, why})
			continue
		}
		fit = append(fit, Choice{n, ports})
	}
	if len(fit) == 0 {
		return Choice{}, out, false
	}
	return slices.MinFunc(fit, func(a, b Choice) int { return compare(r.App, a.Node, b.Node) }), out, true
}

func compare(app string, a, b *Node) int {
	return cmp.Or(
		cmp.Compare(a.Apps[app], b.Apps[app]),
		cmp.Compare(b.Free.Mem, a.Free.Mem),
		cmp.Compare(a.Name, b.Name))
}

// Take books a choice on its node, so that the next Place sees it.
func Take(c Choice, r Request) {
	n := c.Node
	n.Free = Minus(n.Free, r.Res)
	for _, p := range c.Ports {
		n.Ports[p] = true
	}
	n.Apps[r.App]++
}

// Minus subtracts resources.
func Minus(a, b api.Resources) api.Resources {
	return api.Resources{CPUs: a.CPUs - b.CPUs, Mem: a.Mem - b.Mem, Disk: a.Disk - b.Disk, GPUs: a.GPUs - b.GPUs}
}

func judge(n *Node, r Request, allowed func(*Node) bool) ([]int, []Reason) {
	var why []Reason
	no := func(bad bool, reason Reason) {
		if bad {
			why = append(why, reason)
		}
	}
	ports, ok := choosePorts(n, r)
	no(!shareRole(n.Roles, r.Roles), UnfulfilledRole)
	no(!allowed(n), UnfulfilledConstraint)
	no(less(n.Free.CPUs, r.Res.CPUs), InsufficientCPUs)
	no(less(n.Free.Mem, r.Res.Mem), InsufficientMemory)
	no(less(n.Free.Disk, r.Res.Disk), InsufficientDisk)
	no(less(n.Free.GPUs, r.Res.GPUs), InsufficientGPUs)
	no(!ok, InsufficientPorts)
	return ports, why
}

// less forgives the rounding of sums such as 0.1+0.2; Mesos counts in
// thousandths too.
func less(have, want float64) bool { return want > 0 && have+0.0005 < want }

func shareRole(node, app []string) bool {
	if len(app) == 0 {
		app = []string{api.ResourceRoleAny}
	}
	return slices.ContainsFunc(app, func(r string) bool { return slices.Contains(node, r) })
}

// platformPorts are those that a node's own programs listen on.
var platformPorts = []int{
	api.PortNode, api.PortScheduler, api.PortCA, api.PortRouter,
	api.PortStore, api.PortTaskLog, api.PortEnrol, api.PortRegistry,
}

func choosePorts(n *Node, r Request) ([]int, bool) {
	const size = api.TaskPortLast - api.TaskPortFirst + 1
	mine := map[int]bool{}
	for _, p := range r.Ports {
		if p == 0 {
			continue
		}
		if n.Ports[p] || mine[p] || slices.Contains(platformPorts, p) {
			return nil, false
		}
		mine[p] = true
	}
	out := slices.Clone(r.Ports)
	next := 0
	for i, p := range out {
		for ; p == 0 && next < size; next++ {
			if c := api.TaskPortFirst + (r.Seed%size+size+next)%size; !n.Ports[c] && !mine[c] {
				p, out[i], mine[c] = c, c, true
			}
		}
		if p == 0 {
			return nil, false
		}
	}
	return out, true
}
