package placement

import (
	"slices"
	"testing"

	"github.com/ingot-os/ingot/api"
)

func nodes() []*Node {
	mk := func(name, role, rack string, cpus, mem float64) *Node {
		return &Node{
			Name: name, Address: "10.0.0.1", Roles: []string{role}, Attributes: map[string]string{"rack": rack},
			Free: api.Resources{CPUs: cpus, Mem: mem}, Ports: map[int]bool{}, Apps: map[string]int{},
		}
	}
	return []*Node{
		mk("n1", api.ResourceRoleAny, "a", 2, 512), mk("n2", api.ResourceRoleAny, "a", 2, 1024),
		mk("n3", api.ResourceRoleAny, "b", 2, 256), mk("p1", api.ResourceRolePublic, "b", 8, 4096),
	}
}

func TestPlace(t *testing.T) {
	small := api.Resources{CPUs: 0.1, Mem: 32}
	for name, c := range map[string]struct {
		req  Request
		n    int      // instances to place
		want []string // nodes in order
		why  []Reason // against n1 when the next does not fit
	}{
		"spreads, the emptiest first": {Request{App: "/a", Res: small}, 4, []string{"n2", "n1", "n3", "n2"}, nil},
		"public only where accepted":  {Request{App: "/a", Res: small, Roles: []string{"slave_public"}}, 2, []string{"p1", "p1"}, nil},
		"either role":                 {Request{App: "/a", Res: small, Roles: []string{"*", "slave_public"}}, 1, []string{"p1"}, nil},
		"too many cpus":               {Request{App: "/a", Res: api.Resources{CPUs: 3, Mem: 1}}, 1, nil, []Reason{InsufficientCPUs}},
		"two reasons":                 {Request{App: "/a", Res: api.Resources{CPUs: 3, Mem: 1e6}}, 1, nil, []Reason{InsufficientCPUs, InsufficientMemory}},
		"no gpus, no disk":            {Request{App: "/a", Res: api.Resources{GPUs: 1, Disk: 1}}, 1, nil, []Reason{InsufficientDisk, InsufficientGPUs}},
		"fixed port, once a node":     {Request{App: "/a", Res: small, Ports: []int{8080}}, 4, []string{"n2", "n1", "n3"}, []Reason{InsufficientPorts}},
		"the platform's port":         {Request{App: "/a", Res: small, Ports: []int{api.PortNode}}, 1, nil, []Reason{InsufficientPorts}},
		"unique":                      {Request{App: "/a", Res: small, Constraints: [][]string{{"hostname", "UNIQUE"}}}, 4, []string{"n2", "n1", "n3"}, []Reason{UnfulfilledConstraint}},
		"cluster by name":             {Request{App: "/a", Res: small, Constraints: [][]string{{"hostname", "CLUSTER", "n3"}}}, 2, []string{"n3", "n3"}, nil},
		"cluster by attribute":        {Request{App: "/a", Res: small, Constraints: [][]string{{"rack", "CLUSTER"}}}, 3, []string{"n2", "n1", "n2"}, nil},
		"like is of the whole":        {Request{App: "/a", Res: small, Constraints: [][]string{{"hostname", "LIKE", "1"}}}, 1, nil, []Reason{UnfulfilledConstraint}},
		"like":                        {Request{App: "/a", Res: small, Constraints: [][]string{{"hostname", "LIKE", "n[13]"}}}, 2, []string{"n1", "n3"}, nil},
		"unlike":                      {Request{App: "/a", Res: small, Constraints: [][]string{{"hostname", "UNLIKE", "n[12]"}}}, 1, []string{"n3"}, nil},
		"group by":                    {Request{App: "/a", Res: small, Constraints: [][]string{{"rack", "GROUP_BY"}}}, 4, []string{"n2", "n3", "n1", "n3"}, nil},
		"max per":                     {Request{App: "/a", Res: small, Constraints: [][]string{{"rack", "MAX_PER", "1"}}}, 3, []string{"n2", "n3"}, []Reason{UnfulfilledConstraint}},
		"broken constraint fits not":  {Request{App: "/a", Res: small, Constraints: [][]string{{"hostname", "LIKE", "("}}}, 1, nil, []Reason{UnfulfilledConstraint}},
	} {
		t.Run(name, func(t *testing.T) {
			all := nodes()
			var got []string
			var declined []Declined
			for range c.n {
				choice, no, ok := Place(all, c.req)
				if declined = no; !ok {
					break
				}
				got = append(got, choice.Node.Name)
				Take(choice, c.req)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("placed on %v, want %v", got, c.want)
			}
			if c.why == nil {
				return
			}
			i := slices.IndexFunc(declined, func(d Declined) bool { return d.Node == "n1" })
			if i < 0 || !slices.Equal(declined[i].Reasons, c.why) {
				t.Errorf("declined %v, want n1 for %v", declined, c.why)
			}
		})
	}
}

func TestPortsOfTheRange(t *testing.T) {
	n := nodes()[:1]
	n[0].Free = api.Resources{CPUs: 1e6}
	seen := map[int]bool{}
	for i := range api.TaskPortLast - api.TaskPortFirst + 1 {
		r := Request{App: "/a", Ports: []int{0}, Seed: i * 7}
		c, _, ok := Place(n, r)
		if !ok || len(c.Ports) != 1 || c.Ports[0] < api.TaskPortFirst || c.Ports[0] > api.TaskPortLast || seen[c.Ports[0]] {
			t.Fatalf("port %d: %v %v", i, c.Ports, ok)
		}
		seen[c.Ports[0]] = true
		Take(c, r)
	}
	if _, _, ok := Place(n, Request{App: "/a", Ports: []int{0}}); ok {
		t.Error("a port beyond the range")
	}
}

func BenchmarkPlace(b *testing.B) {
	var all []*Node
	for range 100 {
		all = append(all, nodes()...)
	}
	r := Request{App: "/a", Res: api.Resources{CPUs: 0.001, Mem: 0.001}, Ports: []int{0}}
	for b.Loop() {
		r.Seed++
		Place(all, r)
	}
}
