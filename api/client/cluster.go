package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// Cluster calls a cluster through its router.
type Cluster struct{ c *Client }

// NewCluster returns the calls of the cluster whose router c leads to.
func NewCluster(c *Client) *Cluster { return &Cluster{c} }

// Hello is what a router says to anyone.
type Hello struct {
	Site    string `json:"site"`
	Version string `json:"version"`
}

// Hello asks whose router this is.
func (k *Cluster) Hello(ctx context.Context) (Hello, error) {
	var h Hello
	err := k.c.Do(ctx, http.MethodGet, "/", nil, &h)
	return h, err
}

// Nodes lists the nodes.
func (k *Cluster) Nodes(ctx context.Context) ([]api.NodeSummary, error) {
	var list []api.NodeSummary
	err := k.c.Do(ctx, http.MethodGet, "/system/v1/nodes", nil, &list)
	return list, err
}

// Node returns the calls of one node by its name.
func (k *Cluster) Node(name string) *Node {
	return &Node{k.c.under("/system/v1/node/" + url.PathEscape(name))}
}

const marathon = "/service/marathon"

// Apps lists the apps, with their counts of tasks.
func (k *Cluster) Apps(ctx context.Context) ([]api.App, error) {
	var reply struct{ Apps []api.App }
	err := k.c.Do(ctx, http.MethodGet, marathon+"/v2/apps?embed=apps.counts", nil, &reply)
	return reply.Apps, err
}

// App is one app, with its tasks and last failure.
func (k *Cluster) App(ctx context.Context, id string) (api.App, error) {
	var reply struct{ App api.App }
	err := k.c.Do(ctx, http.MethodGet, appPath(id)+"?embed=app.tasks&embed=app.counts&embed=app.lastTaskFailure", nil, &reply)
	return reply.App, err
}

// AddApp creates an app from a definition as the caller wrote it: what it does
// not name is for the scheduler to fill in.
func (k *Cluster) AddApp(ctx context.Context, definition []byte) (api.App, error) {
	var a api.App
	err := k.c.Do(ctx, http.MethodPost, marathon+"/v2/apps", raw(definition), &a)
	return a, err
}

// RemoveApp deletes an app and ends its tasks. An app whose deployment is under
// way, one that waits for room say, is a conflict unless force ends that too.
func (k *Cluster) RemoveApp(ctx context.Context, id string, force bool) error {
	path := appPath(id)
	if force {
		path += "?force=true"
	}
	return k.c.Do(ctx, http.MethodDelete, path, nil, nil)
}

// Tasks lists the tasks of all apps.
func (k *Cluster) Tasks(ctx context.Context) ([]api.Task, error) {
	var reply struct{ Tasks []api.Task }
	err := k.c.Do(ctx, http.MethodGet, marathon+"/v2/tasks", nil, &reply)
	return reply.Tasks, err
}

// Waiting is an entry of Marathon's queue: instances that no node takes yet.
type Waiting struct {
	App   struct{ ID string } `json:"app"`
	Count int                 `json:"count"`
	Delay struct {
		TimeLeftSeconds float64 `json:"timeLeftSeconds"`
		Overdue         bool    `json:"overdue"`
	} `json:"delay"`
	Since     string `json:"since,omitempty"`
	Processed struct {
		Reject []Rejected `json:"rejectSummaryLastOffers"`
	} `json:"processedOffersSummary"`
}

// Rejected counts the nodes that were no good, by Marathon's name of a reason.
type Rejected struct {
	Reason    string `json:"reason"`
	Declined  int    `json:"declined"`
	Processed int    `json:"processed"`
}

// Queue lists what waits to be placed, and why.
func (k *Cluster) Queue(ctx context.Context) ([]Waiting, error) {
	var reply struct{ Queue []Waiting }
	err := k.c.Do(ctx, http.MethodGet, marathon+"/v2/queue", nil, &reply)
	return reply.Queue, err
}

// TaskLog opens a task's "stdout" or "stderr", to be closed.
func (k *Cluster) TaskLog(ctx context.Context, id, file string, q LogQuery) (io.ReadCloser, error) {
	r, _, err := k.c.Open(ctx, http.MethodGet, "/system/v1/task/"+url.PathEscape(id)+"/"+file+q.encode(), nil)
	return r, err
}

// Service opens a path of a service behind the router, to be closed.
func (k *Cluster) Service(ctx context.Context, name, path string) (io.ReadCloser, error) {
	r, _, err := k.c.Open(ctx, http.MethodGet, "/service/"+name+"/"+strings.TrimPrefix(path, "/"), nil)
	return r, err
}

func appPath(id string) string {
	return marathon + "/v2/apps/" + strings.Trim(id, "/")
}

// raw is JSON that somebody else wrote; it travels as it is, wrong or right.
type raw []byte
