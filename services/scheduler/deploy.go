package scheduler

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/apps"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// keptVersions is how many versions of a definition are kept (Marathon: 50).
const keptVersions = 50

// change makes one app into what edit says, under a deployment of its own.
func (m *model) change(id string, how apps.How, edit func(*api.App) (*api.App, error)) (apps.Changed, error) {
	a := m.apps[id]
	var now *api.App
	if a != nil && !a.Removing {
		now = clone(a.Spec)
	}
	next, err := edit(now)
	if err != nil {
		return apps.Changed{}, err
	}
	if next == nil && now == nil {
		return apps.Changed{}, apps.NotFound(id)
	}
	locks := m.deploymentsOf(id)
	if len(locks) > 0 && (!how.Force || a != nil && a.Removing) {
		return apps.Changed{}, apps.Locked{IDs: locks}
	}
	m.drop(locks)
	var old *api.App
	if now != nil {
		old = clone(a.Spec)
	}
	version := m.nextVersion(a)
	d := m.deployment(id, version, actions(old, next, how.Restart), old)
	if next == nil {
		a.Removing = true
		m.batch.Put(state.App(id), a.AppRecord)
		return apps.Changed{Deployment: d, App: *old}, nil
	}
	m.setSpec(*next, old, version, how.Restart)
	m.kill(how.Kill)
	return apps.Changed{Deployment: d, App: *clone(m.apps[id].Spec)}, nil
}

func clone(a api.App) *api.App { return &a } // edits replace fields whole, never write through

func (m *model) drop(locks []api.DeploymentReference) {
	for _, l := range locks {
		delete(m.deploys, l.ID)
		m.batch.Delete(state.Deployment(l.ID))
	}
}

func (m *model) deploymentsOf(id string) []api.DeploymentReference {
	out := []api.DeploymentReference{}
	for _, d := range slices.Sorted(maps.Keys(m.deploys)) {
		if m.deploys[d].App == id {
			out = append(out, api.DeploymentReference{ID: d})
		}
	}
	return out
}

// nextVersion is the time, and later than the app's last version.
func (m *model) nextVersion(a *app) string {
	t := m.now
	if a != nil {
		if last, err := time.Parse(time.RFC3339, a.Spec.Version); err == nil && !t.Truncate(time.Millisecond).After(last) {
			t = last.Add(time.Millisecond)
		}
	}
	return stamp(t)
}

func (m *model) setSpec(next api.App, old *api.App, version string, restart bool) {
	next.Version = version
	next.VersionInfo = &api.VersionInfo{LastScalingAt: version, LastConfigChangeAt: version}
	if old != nil && !restart && sameConfig(*old, next) && old.VersionInfo != nil {
		next.VersionInfo.LastConfigChangeAt = old.VersionInfo.LastConfigChangeAt
	}
	a := m.apps[next.ID]
	if a == nil {
		a = &app{inst: map[string]*instance{}}
		m.apps[next.ID] = a
	}
	if old == nil || next.VersionInfo.LastConfigChangeAt == version {
		a.backoff = backoff{}
	}
	a.AppRecord = state.AppRecord{Spec: next}
	a.pending = pending{}
	m.batch.Put(state.App(next.ID), a.AppRecord)
	m.batch.Put(state.Version(next.ID, version), next)
	a.versions = append(a.versions, version)
	for len(a.versions) > keptVersions {
		m.batch.Delete(state.Version(next.ID, a.versions[0]))
		a.versions = a.versions[1:]
	}
}

// sameConfig tells whether two definitions differ in nothing but scale: then no
// instance is replaced.
func sameConfig(a, b api.App) bool {
	for _, x := range []*api.App{&a, &b} {
		x.Instances, x.Version, x.VersionInfo = 0, "", nil
		x.UpgradeStrategy, x.UnreachableStrategy, x.KillSelection = nil, nil, ""
		x.BackoffSeconds, x.BackoffFactor, x.MaxLaunchDelaySeconds = 0, 0, 0
	}
	x, errX := json.Marshal(a) // not DeepEqual: an empty list and none are the same
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// actions are a deployment's steps in Marathon's words.
func actions(old, next *api.App, restart bool) []string {
	switch {
	case next == nil:
		return []string{"StopApplication"}
	case old == nil && next.Instances == 0:
		return []string{"StartApplication"}
	case old == nil:
		return []string{"StartApplication", "ScaleApplication"}
	case restart || !sameConfig(*old, *next):
		return []string{"RestartApplication"}
	case old.Instances != next.Instances:
		return []string{"ScaleApplication"}
	}
	return nil
}

func (m *model) deployment(id, version string, words []string, old *api.App) api.Deployment {
	d := api.Deployment{
		ID: m.newID(), Version: version, AffectedApps: []string{id}, AffectedPods: []string{},
		Steps: []api.DeploymentStep{}, CurrentActions: []api.DeploymentAction{},
		TotalSteps: len(words), CurrentStep: len(words), // the first steps are done by writing the definition
	}
	for _, w := range words {
		act := []api.DeploymentAction{{Action: w, App: id}}
		d.Steps = append(d.Steps, api.DeploymentStep{Actions: act})
		d.CurrentActions = act
	}
	rec := &state.DeploymentRecord{Deployment: d, App: id, Previous: old}
	m.deploys[d.ID] = rec
	m.batch.Put(state.Deployment(d.ID), rec)
	return d
}

// finish ends the deployments of apps that are as they should be.
func (m *model) finish() {
	for _, id := range slices.Sorted(maps.Keys(m.deploys)) {
		a := m.apps[m.deploys[id].App]
		if a == nil || !a.Removing && m.settled(a) {
			m.drop([]api.DeploymentReference{{ID: id}})
		}
	}
}

// settled tells whether an app has exactly what it asks for, and all of it up.
func (m *model) settled(a *app) bool {
	ready := 0
	for _, i := range a.inst {
		switch {
		case m.givenUp(a, i):
		case i.stop || !current(a, i):
			return false
		case i.ready():
			ready++
		}
	}
	return ready == a.Spec.Instances
}

// withdraw ends all of an app that is being removed, then the app.
func (m *model) withdraw(a *app) {
	for _, i := range sortedInstances(a.inst) {
		m.end(i)
		if !i.node.Alive {
			m.remove(i)
		}
	}
	if len(a.inst) > 0 {
		return
	}
	id := a.Spec.ID
	delete(m.apps, id)
	m.batch.Delete(state.App(id))
	m.batch.Delete(state.Failure(id))
	for _, v := range a.versions {
		m.batch.Delete(state.Version(id, v))
	}
}

// cancel ends a deployment as things stand, or goes back to what was.
func (m *model) cancel(id string, force bool) (api.Deployment, error) {
	d := m.deploys[id]
	if d == nil {
		return api.Deployment{}, api.Errorf(api.KindNotFound, "Deployment %s does not exist", id)
	}
	a := m.apps[d.App]
	if force {
		m.drop([]api.DeploymentReference{{ID: id}})
		return d.Deployment, nil
	}
	if a != nil && a.Removing && d.Previous != nil {
		a.Removing = false // instances that were told to stop are replaced
		m.drop([]api.DeploymentReference{{ID: id}})
		m.batch.Put(state.App(d.App), a.AppRecord)
	}
	back := d.Previous
	c, err := m.change(d.App, apps.How{Force: true}, func(*api.App) (*api.App, error) { return back, nil })
	return c.Deployment, err
}

// kill stops instances by task id and returns those it found.
func (m *model) kill(ids []string) []api.Task {
	var out []api.Task
	for _, a := range m.sortedApps() {
		for _, i := range sortedInstances(a.inst) {
			if slices.Contains(ids, i.alloc.ID) {
				out = append(out, task(a, i))
				m.end(i)
			}
		}
	}
	return out
}
