package scheduler

import (
	"cmp"
	"math"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/apps"
	"github.com/ingot-os/ingot/services/scheduler/placement"
)

// appViews are the apps as Marathon shows them.
func (m *model) appViews() []api.App {
	out := []api.App{}
	for _, a := range m.sortedApps() {
		if !a.Removing {
			out = append(out, m.appView(a))
		}
	}
	return out
}

func (m *model) appView(a *app) api.App {
	v := a.Spec
	v.Deployments = m.deploymentsOf(v.ID)
	v.LastTaskFailure = a.failure
	for _, i := range sortedInstances(a.inst) {
		v.Tasks = append(v.Tasks, task(a, i))
		switch i.state() {
		case api.TaskStaging, api.TaskStarting:
			v.TasksStaged++
		case api.TaskRunning:
			v.TasksRunning++
			if i.status.Healthy != nil && *i.status.Healthy {
				v.TasksHealthy++
			} else if i.sick() {
				v.TasksUnhealthy++
			}
		}
	}
	return v
}

func task(a *app, i *instance) api.Task {
	t := api.Task{
		ID: i.alloc.ID, AppID: i.alloc.App, Host: i.node.Address, Ports: []int{}, State: i.state(),
		StagedAt: stamp(i.alloc.Created), Version: i.alloc.Version, SlaveID: i.alloc.Node,
		ServicePorts: apps.ServicePorts(a.Spec), Role: api.ResourceRoleAny,
	}
	for _, p := range i.alloc.Ports {
		t.Ports = append(t.Ports, p.Host)
	}
	if !i.status.StartedAt.IsZero() {
		t.StartedAt = stamp(i.status.StartedAt)
	}
	ip := i.node.Address
	if i.alloc.Network == "bridge" {
		ip = i.status.IP
	}
	if ip != "" {
		t.IPAddresses = []api.IPAddress{{IPAddress: ip, Protocol: "IPv4"}}
	}
	if h := i.status.Healthy; h != nil {
		t.HealthCheckResults = []api.HealthCheckResult{{Alive: *h, InstanceID: apps.InstanceID(t.ID)}}
	}
	return t
}

func (m *model) deploymentViews() []api.Deployment {
	out := []api.Deployment{}
	for _, d := range m.deploys {
		out = append(out, d.Deployment)
	}
	slices.SortFunc(out, func(a, b api.Deployment) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (m *model) queueViews() []api.QueueItem {
	var out []api.QueueItem
	for _, a := range m.sortedApps() {
		if a.pending.count > 0 {
			out = append(out, m.queueView(a))
		}
	}
	return out
}

func (m *model) queueView(a *app) api.QueueItem {
	left := max(0, a.backoff.until.Sub(m.now))
	p := a.pending
	q := api.QueueItem{
		App: a.Spec, Count: p.count, Role: api.ResourceRoleAny, Since: stamp(p.since),
		Delay: api.QueueDelay{TimeLeftSeconds: int(math.Ceil(left.Seconds())), Overdue: left == 0},
		ProcessedOffersSummary: api.ProcessedOffers{
			ProcessedOffersCount: p.processed, UnusedOffersCount: len(p.declined),
			RejectSummaryLastOffers: summary(p),
		},
	}
	for _, d := range p.declined {
		o := api.UnusedOffer{Hostname: d.Node}
		for _, r := range d.Reasons {
			o.Reason = append(o.Reason, string(r))
		}
		q.LastUnusedOffers = append(q.LastUnusedOffers, o)
	}
	return q
}

// summary counts nodes by the first reason against each, as Marathon's funnel
// does: a node declined for one reason is not looked at for the next.
func summary(p pending) []api.RejectReason {
	count := map[placement.Reason]int{}
	for _, d := range p.declined {
		count[d.Reasons[0]]++
	}
	out, left := []api.RejectReason{}, p.processed
	for _, r := range placement.Reasons {
		out = append(out, api.RejectReason{Reason: string(r), Declined: count[r], Processed: left})
		left -= count[r]
	}
	return out
}

func (m *model) nodeViews() []api.NodeSummary {
	out := []api.NodeSummary{}
	for _, n := range m.sortedNodes() {
		v := api.NodeSummary{AgentInventory: n.AgentInventory, Alive: n.Alive, Since: n.Since}
		for _, i := range n.inst {
			r := i.alloc.Res
			v.Used.CPUs, v.Used.Mem, v.Used.Disk, v.Used.GPUs = v.Used.CPUs+r.CPUs, v.Used.Mem+r.Mem, v.Used.Disk+r.Disk, v.Used.GPUs+r.GPUs
			if n.Alive && i.status.State == api.TaskRunning {
				v.Tasks++
			}
		}
		out = append(out, v)
	}
	return out
}

// allocsOf is all that a node should run.
func (m *model) allocsOf(n *node) []api.Alloc {
	out := []api.Alloc{}
	for _, i := range sortedInstances(n.inst) {
		if !i.stop {
			out = append(out, i.alloc)
		}
	}
	return out
}

// routes are the apps with a service name, and where they answer.
func (m *model) routes() []api.Route {
	out := []api.Route{}
	for _, a := range m.sortedApps() {
		l := a.Spec.Labels
		if a.Removing || l["DCOS_SERVICE_NAME"] == "" {
			continue
		}
		r := api.Route{
			Name: l["DCOS_SERVICE_NAME"], App: a.Spec.ID, Scheme: "http",
			RewriteURLs: l["DCOS_SERVICE_REWRITE_REQUEST_URLS"] != "false", Endpoints: endpoints(a, l["DCOS_SERVICE_PORT_INDEX"]),
		}
		if l["DCOS_SERVICE_SCHEME"] == "https" {
			r.Scheme = "https"
		}
		out = append(out, r)
	}
	return out
}

func endpoints(a *app, portIndex string) []string {
	index, _ := strconv.Atoi(portIndex) // 0 when absent, as in DC/OS
	healthy, others := []string{}, []string{}
	for _, i := range sortedInstances(a.inst) {
		if !i.serving() || index < 0 || index >= len(i.alloc.Ports) {
			continue
		}
		e := net.JoinHostPort(i.node.Address, strconv.Itoa(i.alloc.Ports[index].Host))
		if i.ready() {
			healthy = append(healthy, e)
		} else {
			others = append(others, e)
		}
	}
	return append(healthy, others...)
}

// hurry ends an app's back-off.
func (m *model) hurry(id string) error {
	a := m.apps[id]
	if a == nil || a.pending.count == 0 {
		return api.Errorf(api.KindNotFound, "Application %s not found in tasks queue.", id)
	}
	a.backoff.until = time.Time{}
	return nil
}

// versionsOf lists an app's kept versions, newest first.
func (m *model) versionsOf(id string) ([]string, error) {
	a := m.apps[id]
	if a == nil || a.Removing {
		return nil, apps.NotFound(id)
	}
	v := slices.Clone(a.versions)
	slices.Reverse(v)
	return v, nil
}
