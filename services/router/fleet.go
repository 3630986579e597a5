package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// fleet knows which nodes there are and where. It keeps the last list, so that
// nodes stay in reach while the scheduler is away.
type fleet struct {
	scheduler string
	own       api.NodeIdentity
	client    *http.Client

	mu   sync.Mutex // guards last
	last []api.NodeSummary
}

// askTimeout bounds a question to the scheduler on this machine.
const askTimeout = 5 * time.Second

// nodes asks the scheduler; this master itself is always among them.
func (f *fleet) nodes(ctx context.Context) ([]api.NodeSummary, error) {
	var list []api.NodeSummary
	err := f.ask(ctx, "/v1/nodes", &list)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.last = f.withOwn(list)
	} else if f.last == nil {
		f.last = f.withOwn(nil)
	}
	return slices.Clone(f.last), err
}

func (f *fleet) withOwn(list []api.NodeSummary) []api.NodeSummary {
	if slices.ContainsFunc(list, func(n api.NodeSummary) bool { return n.Node == f.own.Name }) {
		return list
	}
	own := api.NodeSummary{Alive: true, AgentInventory: api.AgentInventory{
		Node: f.own.Name, Address: f.own.Address, Roles: f.own.Roles,
	}}
	return append([]api.NodeSummary{own}, list...)
}

func (f *fleet) ask(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+f.scheduler+path, nil)
	if err != nil {
		return fmt.Errorf("ask the scheduler: %w", err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return api.Errorf(api.KindUnavailable, "ask the scheduler for %s: %v", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return api.Errorf(api.KindUnavailable, "ask the scheduler for %s: %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the scheduler's %s: %w", path, err)
	}
	return nil
}

// find returns the node with this name or address.
func (f *fleet) find(ctx context.Context, name string) (api.NodeSummary, error) {
	list, asked := f.nodes(ctx)
	var names []string
	for _, n := range list {
		if n.Node == name || n.Address == name {
			return n, nil
		}
		names = append(names, n.Node)
	}
	if asked != nil {
		return api.NodeSummary{}, asked
	}
	return api.NodeSummary{}, api.Errorf(api.KindNotFound, "no node %q", name).
		WithHint("nodes are %s", strings.Join(names, ", "))
}

// dial connects to a node by its name, so that TLS checks the name: an address
// may have changed hands. Hosts that are addresses are dialled as they are.
func (f *fleet) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 2 * time.Second, KeepAlive: 10 * time.Second}
	if net.ParseIP(host) != nil {
		return d.DialContext(ctx, network, hostport)
	}
	f.mu.Lock()
	i := slices.IndexFunc(f.last, func(n api.NodeSummary) bool { return n.Node == host })
	var address string
	if i >= 0 {
		address = f.last[i].Address
	}
	f.mu.Unlock()
	if address == "" {
		return nil, fmt.Errorf("no address known of node %q", host)
	}
	return d.DialContext(ctx, network, net.JoinHostPort(address, port))
}

// nodeOf finds the node that runs a task.
func (f *fleet) nodeOf(ctx context.Context, task string) (api.NodeSummary, error) {
	var reply struct{ Tasks []api.Task }
	if err := f.ask(ctx, "/v2/tasks", &reply); err != nil {
		return api.NodeSummary{}, err
	}
	i := slices.IndexFunc(reply.Tasks, func(t api.Task) bool { return t.ID == task })
	if i < 0 {
		return api.NodeSummary{}, api.Errorf(api.KindNotFound, "no task %q", task).WithHint("ingot task ls lists them")
	}
	return f.find(ctx, reply.Tasks[i].Host)
}
