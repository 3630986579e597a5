package apps

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ingot-os/ingot/api"
)

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	all, err := s.cluster.Apps(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	embed := r.URL.Query()["embed"]
	out := []api.App{}
	for _, a := range all {
		ok, err := selected(a, r)
		if err != nil {
			fail(w, err)
			return
		}
		if !ok {
			continue
		}
		if !slices.Contains(embed, "apps.tasks") && !slices.Contains(embed, "apps.failures") {
			a.Tasks = nil
		}
		if !slices.Contains(embed, "apps.lastTaskFailure") && !slices.Contains(embed, "apps.failures") {
			a.LastTaskFailure = nil
		}
		out = append(out, a)
	}
	reply(w, http.StatusOK, map[string]any{"apps": out})
}

// find returns one app whole.
func (s *server) find(r *http.Request, id string) (api.App, error) {
	all, err := s.cluster.Apps(r.Context())
	if err != nil {
		return api.App{}, err
	}
	i := slices.IndexFunc(all, func(a api.App) bool { return a.ID == id })
	if i < 0 {
		return api.App{}, NotFound(id)
	}
	return all[i], nil
}

func (s *server) show(w http.ResponseWriter, r *http.Request, id string) {
	a, err := s.find(r, id)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"app": a})
}

func (s *server) appTasks(w http.ResponseWriter, r *http.Request, id string) {
	a, err := s.find(r, id)
	if err != nil {
		fail(w, err)
		return
	}
	replyTasks(w, r, a.Tasks)
}

func (s *server) tasks(w http.ResponseWriter, r *http.Request) {
	all, err := s.cluster.Apps(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	var out []api.Task
	for _, a := range all {
		out = append(out, a.Tasks...)
	}
	status := append(r.URL.Query()["status"], r.URL.Query()["status[]"]...)
	out = slices.DeleteFunc(out, func(t api.Task) bool { return len(status) > 0 && !slices.Contains(status, phase(t.State)) })
	replyTasks(w, r, out)
}

// phase is the word of ?status= for a state.
func phase(s api.TaskState) string {
	if s == api.TaskStarting {
		return "staging"
	}
	return strings.ToLower(strings.TrimPrefix(string(s), "TASK_"))
}

// replyTasks answers in JSON, or in Marathon's tab separated lines for those
// who ask for text: app, service port, endpoints.
func replyTasks(w http.ResponseWriter, r *http.Request, tasks []api.Task) {
	if tasks == nil {
		tasks = []api.Task{}
	}
	if !strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
		reply(w, http.StatusOK, map[string]any{"tasks": tasks})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, t := range tasks {
		for i, p := range t.Ports {
			service := 0
			if i < len(t.ServicePorts) {
				service = t.ServicePorts[i]
			}
			fmt.Fprintf(w, "%s\t%d\t%s:%d\n", strings.ReplaceAll(strings.TrimPrefix(t.AppID, "/"), "/", "_"), service, t.Host, p)
		}
	}
}

func (s *server) versions(w http.ResponseWriter, r *http.Request, id string, rest []string) {
	if len(rest) == 1 {
		a, err := s.cluster.Version(r.Context(), id, rest[0])
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, a)
		return
	}
	v, err := s.cluster.Versions(r.Context(), id)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"versions": v})
}

func (s *server) deployments(w http.ResponseWriter, r *http.Request) {
	d, err := s.cluster.Deployments(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	if d == nil {
		d = []api.Deployment{}
	}
	reply(w, http.StatusOK, d)
}

// cancel answers 202 without a body when forced, else the deployment that goes
// back (Marathon's rollback).
func (s *server) cancel(w http.ResponseWriter, r *http.Request) {
	force := flag(r, "force", false)
	d, err := s.cluster.Cancel(r.Context(), r.PathValue("id"), force)
	switch {
	case err != nil:
		fail(w, err)
	case force:
		w.WriteHeader(http.StatusAccepted)
	default:
		announce(w, Parsed{}, Changed{Deployment: d}, "")
		reply(w, http.StatusOK, deploymentReply(Changed{Deployment: d}))
	}
}

func (s *server) queue(w http.ResponseWriter, r *http.Request) {
	q, err := s.cluster.Queue(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	if q == nil {
		q = []api.QueueItem{}
	}
	if !slices.Contains(r.URL.Query()["embed"], "lastUnusedOffers") {
		for i := range q {
			q[i].LastUnusedOffers = nil
		}
	}
	reply(w, http.StatusOK, map[string]any{"queue": q})
}

func (s *server) hurry(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/queue/"), "/delay")
	if !ok {
		notServed(w, r)
		return
	}
	if err := s.cluster.Hurry(r.Context(), canonicalID(id)); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
