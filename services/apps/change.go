package apps

import (
	"context"
	"net/http"
	"strings"

	"github.com/ingot-os/ingot/api"
)

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	b, err := body(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	p, err := Parse(b)
	if err != nil {
		fail(w, err)
		return
	}
	c, err := s.cluster.Change(r.Context(), p.App.ID, How{Force: flag(r, "force", false)}, func(now *api.App) (*api.App, error) {
		if now != nil {
			return nil, api.Errorf(api.KindConflict, "An app with id [%s] already exists.", p.App.ID)
		}
		return &p.App, nil
	})
	if err != nil {
		fail(w, err)
		return
	}
	c.App.Deployments = []api.DeploymentReference{{ID: c.Deployment.ID}}
	announce(w, p, c, "/v2/apps"+c.App.ID)
	reply(w, http.StatusCreated, c.App)
}

// announce sets the headers of a change.
func announce(w http.ResponseWriter, p Parsed, c Changed, location string) {
	w.Header().Set("Marathon-Deployment-Id", c.Deployment.ID)
	if location != "" {
		w.Header().Set("Location", location)
	}
	if len(p.Ignored) > 0 {
		w.Header().Set("Ingot-Ignored-Fields", headerSafe(strings.Join(p.Ignored, ", ")))
	}
}

// headerSafe keeps what a caller wrote from forming a header of its own.
func headerSafe(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 1000)]
}

// update is PUT and PATCH: a partial definition over the existing one, or with
// partialUpdate=false a whole one in its place; PUT creates what is missing.
func (s *server) update(w http.ResponseWriter, r *http.Request, id string) {
	b, err := body(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	var p Parsed
	created := false
	c, err := s.cluster.Change(r.Context(), id, How{Force: flag(r, "force", false)}, func(now *api.App) (*api.App, error) {
		var err error
		switch {
		case now == nil && r.Method == http.MethodPatch:
			return nil, NotFound(id)
		case now == nil:
			created = true
			p, err = whole(id, b)
		case flag(r, "partialUpdate", true):
			p, err = Merge(*now, b)
		default:
			p, err = whole(id, b)
		}
		return &p.App, err
	})
	if err != nil {
		fail(w, err)
		return
	}
	status, location := http.StatusOK, ""
	if created {
		status, location = http.StatusCreated, "/v2/apps"+id
	}
	announce(w, p, c, location)
	reply(w, status, deploymentReply(c))
}

// whole reads a full definition for an id that the path gives.
func whole(id string, b []byte) (Parsed, error) {
	doc, err := decode(b)
	if err != nil {
		return Parsed{}, err
	}
	if said, ok := doc["id"].(string); ok && canonicalID(said) != id {
		return Parsed{}, renamed(id)
	}
	doc["id"] = id
	return build(doc)
}

func deploymentReply(c Changed) map[string]string {
	return map[string]string{"version": c.Deployment.Version, "deploymentId": c.Deployment.ID}
}

func (s *server) remove(w http.ResponseWriter, r *http.Request, id string) {
	s.changeTo(w, r, id, How{Force: flag(r, "force", false)}, func(api.App) *api.App { return nil })
}

func (s *server) restart(w http.ResponseWriter, r *http.Request, id string) {
	s.changeTo(w, r, id, How{Force: flag(r, "force", false), Restart: true}, func(now api.App) *api.App { return &now })
}

// changeTo changes an app that must exist and answers with the deployment.
func (s *server) changeTo(w http.ResponseWriter, r *http.Request, id string, how How, next func(api.App) *api.App) {
	c, err := s.change(r.Context(), id, how, next)
	if err != nil {
		fail(w, err)
		return
	}
	announce(w, Parsed{}, c, "")
	reply(w, http.StatusOK, deploymentReply(c))
}

func (s *server) change(ctx context.Context, id string, how How, next func(api.App) *api.App) (Changed, error) {
	return s.cluster.Change(ctx, id, how, func(now *api.App) (*api.App, error) {
		if now == nil {
			return nil, NotFound(id)
		}
		return next(*now), nil
	})
}
