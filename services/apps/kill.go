package apps

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/ingot-os/ingot/api"
)

// killAppTasks is DELETE /v2/apps/ID/tasks[/TASK]?host=H&scale=true.
func (s *server) killAppTasks(w http.ResponseWriter, r *http.Request, id string, rest []string) {
	a, err := s.find(r, id)
	if err != nil {
		fail(w, err)
		return
	}
	host := r.URL.Query().Get("host")
	var ids []string
	for _, t := range a.Tasks {
		if (host == "" || host == t.Host) && (len(rest) == 0 || rest[0] == t.ID) {
			ids = append(ids, t.ID)
		}
	}
	if len(rest) == 1 && len(ids) == 0 {
		fail(w, api.Errorf(api.KindNotFound, "Task '%s' does not exist", rest[0]))
		return
	}
	if flag(r, "scale", false) {
		s.killAndScale(w, r, map[string][]string{id: ids})
		return
	}
	killed, err := s.cluster.Kill(r.Context(), ids)
	if err != nil {
		fail(w, err)
		return
	}
	if len(rest) == 1 {
		reply(w, http.StatusOK, map[string]any{"task": killed[0]})
		return
	}
	replyTasks(w, r, killed)
}

// killTasks is POST /v2/tasks/delete?scale=true {"ids":[…]}. Ids that are not
// known are passed over, as in Marathon.
func (s *server) killTasks(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		IDs []string `json:"ids"`
	}
	b, err := body(w, r)
	if err == nil && json.Unmarshal(b, &ask) != nil {
		err = api.Errorf(api.KindBadRequest, `Invalid JSON: needs {"ids": ["…"]}`)
	}
	if err != nil {
		fail(w, err)
		return
	}
	if flag(r, "scale", false) {
		byApp, err := s.byApp(r, ask.IDs)
		if err != nil {
			fail(w, err)
			return
		}
		s.killAndScale(w, r, byApp)
		return
	}
	killed, err := s.cluster.Kill(r.Context(), ask.IDs)
	if err != nil {
		fail(w, err)
		return
	}
	replyTasks(w, r, killed)
}

func (s *server) byApp(r *http.Request, ids []string) (map[string][]string, error) {
	all, err := s.cluster.Apps(r.Context())
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, a := range all {
		for _, t := range a.Tasks {
			if slices.Contains(ids, t.ID) {
				out[a.ID] = append(out[a.ID], t.ID)
			}
		}
	}
	return out, nil
}

// killAndScale scales each app down by what is killed first, so that nothing
// is started in its place. The answer names the last app's deployment.
func (s *server) killAndScale(w http.ResponseWriter, r *http.Request, byApp map[string][]string) {
	var last Changed
	for id, ids := range byApp {
		c, err := s.change(r.Context(), id, How{Force: flag(r, "force", false), Kill: ids}, func(now api.App) *api.App {
			now.Instances = max(0, now.Instances-len(ids))
			return &now
		})
		if err != nil {
			fail(w, err)
			return
		}
		last = c
	}
	announce(w, Parsed{}, last, "")
	reply(w, http.StatusOK, deploymentReply(last))
}
