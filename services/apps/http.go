package apps

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// server answers Marathon's calls out of a Cluster.
type server struct {
	cluster Cluster
	release string
}

// Handler serves /v2/ and /ping. Who may call is the caller's business.
func Handler(c Cluster, release string) http.Handler {
	s := &server{c, release}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, r.do)
	}
	return mux
}

type route struct {
	pattern string
	do      http.HandlerFunc
}

// routes is the whole surface (Marathon RAML api.raml; dcos.md 2.1). Everything
// below /v2/apps/ goes through appPath, because an app's id contains slashes.
func (s *server) routes() []route {
	return []route{
		{"/ping", s.ping},
		{"GET /v2/apps", s.list},
		{"POST /v2/apps", s.create},
		{"/v2/apps/", s.appPath},
		{"GET /v2/deployments", s.deployments},
		{"DELETE /v2/deployments/{id}", s.cancel},
		{"GET /v2/queue", s.queue},
		{"DELETE /v2/queue/", s.hurry},
		{"GET /v2/tasks", s.tasks},
		{"POST /v2/tasks/delete", s.killTasks},
		{"GET /v2/info", s.info},
		{"GET /v2/leader", s.leader},
		{"/v2/", notServed},
	}
}

// appPath finds the id and the word after it: an id has no part named restart,
// tasks or versions (validateID).
func (s *server) appPath(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/v2/apps/"), "/"), "/")
	word, rest := "", []string(nil)
	for i, p := range parts {
		if i > 0 && (p == "restart" || p == "tasks" || p == "versions") {
			parts, word, rest = parts[:i], p, parts[i+1:]
			break
		}
	}
	id := canonicalID(strings.Join(parts, "/"))
	call := r.Method + " " + word
	switch {
	case id == "" && call == "GET ":
		s.list(w, r)
	case id == "" && call == "POST ":
		s.create(w, r)
	case call == "GET ":
		s.show(w, r, id)
	case call == "PUT " || call == "PATCH ":
		s.update(w, r, id)
	case call == "DELETE ":
		s.remove(w, r, id)
	case call == "POST restart" && len(rest) == 0:
		s.restart(w, r, id)
	case call == "GET tasks" && len(rest) == 0:
		s.appTasks(w, r, id)
	case call == "DELETE tasks" && len(rest) <= 1:
		s.killAppTasks(w, r, id, rest)
	case call == "GET versions" && len(rest) <= 1:
		s.versions(w, r, id, rest)
	default:
		notServed(w, r)
	}
}

func notServed(w http.ResponseWriter, r *http.Request) {
	fail(w, api.Errorf(api.KindNotFound, "%s %s is not supported in this release", r.Method, r.URL.Path))
}

func (s *server) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "pong")
}

func (s *server) leader(w http.ResponseWriter, _ *http.Request) {
	l := s.cluster.Leader()
	if l == "" {
		fail(w, api.Errorf(api.KindNotFound, "There is no leader"))
		return
	}
	reply(w, http.StatusOK, map[string]string{"leader": l})
}

func (s *server) info(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"name": "marathon", "version": s.release, "buildref": "ingot", "elected": s.cluster.Leader() != "",
		"leader": s.cluster.Leader(), "frameworkId": "ingot-marathon",
		"marathon_config": map[string]any{"framework_name": "marathon", "ha": true, "features": []string{}},
	})
}

// maxBody bounds a definition.
const maxBody = 1 << 20

func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, api.Errorf(api.KindBadRequest, "read request: %v", err)
	}
	return b, nil
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone if this fails
}

// fail is api.WriteError with Marathon's own shape for a lock.
func fail(w http.ResponseWriter, err error) {
	if l, ok := errors.AsType[Locked](err); ok {
		reply(w, http.StatusConflict, map[string]any{"message": l.Error(), "deployments": l.IDs})
		return
	}
	api.WriteError(w, err)
}

func flag(r *http.Request, name string, otherwise bool) bool {
	switch r.URL.Query().Get(name) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	return otherwise
}
