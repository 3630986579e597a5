package apps

import (
	"context"
	"net/http"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// Cluster is what the API needs of whoever runs apps. Its methods are safe for
// many goroutines; errors are *api.Error or Locked.
type Cluster interface {
	// Apps lists all apps with their counts, deployments, tasks and last failure.
	Apps(ctx context.Context) ([]api.App, error)
	// Change edits one app in one step: edit gets the definition as it stands, or
	// nil, and returns the one that should be, or nil for none. Its error is
	// returned as it is and changes nothing. The new version is in the answer.
	Change(ctx context.Context, id string, how How, edit func(now *api.App) (*api.App, error)) (Changed, error)
	// Versions lists the versions of an app that are kept, newest first.
	Versions(ctx context.Context, id string) ([]string, error)
	Version(ctx context.Context, id, version string) (api.App, error)
	// Kill stops tasks by id, and returns them; the app starts others in their place.
	Kill(ctx context.Context, ids []string) ([]api.Task, error)
	Deployments(ctx context.Context) ([]api.Deployment, error)
	// Cancel ends a deployment: with force as things stand, else by going back.
	Cancel(ctx context.Context, id string, force bool) (api.Deployment, error)
	Queue(ctx context.Context) ([]api.QueueItem, error)
	// Hurry ends an app's back-off.
	Hurry(ctx context.Context, id string) error
	// Leader is host:port of the leading scheduler, empty when there is none.
	Leader() string
}

// How qualifies a change.
type How struct {
	Force   bool     // end the deployment that holds the app
	Restart bool     // replace all instances though nothing differs
	Kill    []string // tasks to stop in the same step
}

// Changed is a change under way. Its deployment is done when it is no longer
// listed.
type Changed struct {
	Deployment api.Deployment
	App        api.App // with the new version; as it was, when removed
}

// Locked is a 409 that names the deployments in the way.
type Locked struct {
	IDs []api.DeploymentReference
}

func (l Locked) Error() string {
	return "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."
}

// NotFound is Marathon's 404 of an app.
func NotFound(id string) error {
	return api.Errorf(api.KindNotFound, "App '%s' does not exist", id)
}

// selected tells whether an app matches the query's id, cmd and label.
func selected(a api.App, r *http.Request) (bool, error) {
	q := r.URL.Query()
	cmd := ""
	if a.Cmd != nil {
		cmd = *a.Cmd
	}
	if !strings.Contains(a.ID, q.Get("id")) || !strings.Contains(cmd, q.Get("cmd")) {
		return false, nil
	}
	for _, l := range q["label"] {
		for one := range strings.SplitSeq(l, ",") {
			ok, err := labelled(a.Labels, strings.TrimSpace(one))
			if !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// labelled judges one label selector: key, key==value or key!=value.
func labelled(labels map[string]string, sel string) (bool, error) {
	if k, v, ok := strings.Cut(sel, "!="); ok {
		return labels[strings.TrimSpace(k)] != strings.TrimSpace(v), nil
	}
	if k, v, ok := strings.Cut(sel, "=="); ok {
		return labels[strings.TrimSpace(k)] == strings.TrimSpace(v), nil
	}
	if strings.ContainsAny(sel, " =!()") {
		return false, api.Errorf(api.KindBadRequest, "read label selector %q: only key, key==value and key!=value are %s", sel, "supported in this release")
	}
	_, ok := labels[sel]
	return ok, nil
}
