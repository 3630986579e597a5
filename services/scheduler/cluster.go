package scheduler

import (
	"context"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/services/apps"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

var _ apps.Cluster = (*Scheduler)(nil)

// read copies a view out of the model.
func read[T any](ctx context.Context, s *Scheduler, view func(*model) T) (out T, err error) {
	err = s.look(ctx, func(m *model) error { out = view(m); return nil })
	return out, err
}

// Apps is apps.Cluster's.
func (s *Scheduler) Apps(ctx context.Context) ([]api.App, error) {
	return read(ctx, s, (*model).appViews)
}

// Change is apps.Cluster's.
func (s *Scheduler) Change(ctx context.Context, id string, how apps.How, edit func(*api.App) (*api.App, error)) (out apps.Changed, err error) {
	err = s.change(ctx, func(m *model) (err error) { out, err = m.change(id, how, edit); return err })
	return out, err
}

// Versions is apps.Cluster's.
func (s *Scheduler) Versions(ctx context.Context, id string) (out []string, err error) {
	err = s.look(ctx, func(m *model) (err error) { out, err = m.versionsOf(id); return err })
	return out, err
}

// Version is apps.Cluster's; old versions are in the store only.
func (s *Scheduler) Version(ctx context.Context, id, version string) (api.App, error) {
	if _, err := s.Versions(ctx, id); err != nil {
		return api.App{}, err
	}
	a, ok, err := state.AppVersion(ctx, s.Client, id, version)
	if err == nil && !ok {
		err = api.Errorf(api.KindNotFound, "App '%s' does not exist in version %s", id, version)
	}
	return a, err
}

// Kill is apps.Cluster's.
func (s *Scheduler) Kill(ctx context.Context, ids []string) (out []api.Task, err error) {
	err = s.change(ctx, func(m *model) error { out = m.kill(ids); return nil })
	return out, err
}

// Deployments is apps.Cluster's.
func (s *Scheduler) Deployments(ctx context.Context) ([]api.Deployment, error) {
	return read(ctx, s, (*model).deploymentViews)
}

// Cancel is apps.Cluster's.
func (s *Scheduler) Cancel(ctx context.Context, id string, force bool) (out api.Deployment, err error) {
	err = s.change(ctx, func(m *model) (err error) { out, err = m.cancel(id, force); return err })
	return out, err
}

// Queue is apps.Cluster's.
func (s *Scheduler) Queue(ctx context.Context) ([]api.QueueItem, error) {
	return read(ctx, s, (*model).queueViews)
}

// Hurry is apps.Cluster's.
func (s *Scheduler) Hurry(ctx context.Context, id string) error {
	return s.change(ctx, func(m *model) error { return m.hurry(id) })
}
