package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ingot-os/ingot/api"
)

// NodeSocket is where a node's own API listens, on the node.
const NodeSocket = "/run/ingot/initd.sock"

// Node calls one node's API.
type Node struct{ c *Client }

// NewNode returns the calls of the node that c leads to: Unix(NodeSocket) on
// the node itself, TLS to its PortNode elsewhere; through the router, see
// Cluster.Node.
func NewNode(c *Client) *Node { return &Node{c} }

// Status is one screen of the node.
func (n *Node) Status(ctx context.Context) (api.NodeStatus, error) {
	var s api.NodeStatus
	err := n.c.Do(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Units lists all units that the node has loaded.
func (n *Node) Units(ctx context.Context) ([]api.UnitStatus, error) {
	var u []api.UnitStatus
	err := n.c.Do(ctx, http.MethodGet, "/v1/units", nil, &u)
	return u, err
}

// Unit is the state of one unit.
func (n *Node) Unit(ctx context.Context, id string) (api.UnitStatus, error) {
	var u api.UnitStatus
	err := n.c.Do(ctx, http.MethodGet, "/v1/units/"+url.PathEscape(id), nil, &u)
	return u, err
}

// Verbs of units.
const (
	Start   = "start"
	Stop    = "stop"
	Restart = "restart"
)

// Act does a verb to a unit and returns what became of it.
func (n *Node) Act(ctx context.Context, id, verb string) (api.UnitStatus, error) {
	var u api.UnitStatus
	err := n.c.Do(ctx, http.MethodPost, "/v1/units/"+url.PathEscape(id)+"/"+verb, nil, &u)
	return u, err
}

// Kill sends a signal to a unit's main process.
func (n *Node) Kill(ctx context.Context, id string, signal int) (api.UnitStatus, error) {
	var u api.UnitStatus
	err := n.c.Do(ctx, http.MethodPost, fmt.Sprintf("/v1/units/%s/kill?signal=%d", url.PathEscape(id), signal), nil, &u)
	return u, err
}

// LogQuery says which journal records; the zero value is all that is kept.
type LogQuery struct {
	Unit   string
	Lines  int // the newest so many; 0: all
	Follow bool
}

func (q LogQuery) encode() string {
	v := url.Values{}
	if q.Unit != "" {
		v.Set("unit", q.Unit)
	}
	if q.Lines > 0 {
		v.Set("lines", strconv.Itoa(q.Lines))
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// Log calls each with the records asked for, oldest first, and with Follow
// those to come, until ctx ends or each fails.
func (n *Node) Log(ctx context.Context, q LogQuery, each func(api.LogEntry) error) error {
	return lines(ctx, n.c, "/v1/log"+q.encode(), each)
}

// What Power can do to a node.
const (
	Reboot   = "reboot"
	PowerOff = "poweroff"
)

// Power has the node end in an orderly way.
func (n *Node) Power(ctx context.Context, action string) error {
	return n.c.Do(ctx, http.MethodPost, "/v1/power?action="+url.QueryEscape(action), nil, nil)
}
