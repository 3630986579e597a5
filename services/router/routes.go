package router

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// permission is what a caller must be to use a route.
type permission string

const (
	open     permission = "open"     // no proof asked
	operator permission = "operator" // certificate with the role operator, or a token
)

// route leads a path to a handler. A prefix that ends in "/" takes all below
// it; any other is taken exactly.
type route struct {
	prefix string
	needs  permission
	serve  http.HandlerFunc
	does   string
}

// routes is the whole front door; the first match wins. Paths are DC/OS's.
func (s *Server) routes() []route {
	return []route{
		{"/", open, s.hello, "name of the site and version"},
		{"/ping", open, pong, "is the router there"},
		{"/marathon", operator, toMarathon, "the old place of Marathon's API"},
		{"/marathon/", operator, toMarathon, "the old place of Marathon's API"},
		{"/service/marathon/", operator, s.marathon, "Marathon's API"},
		{"/service/", operator, s.service, "the service NAME, as its labels say"},
		{"/system/v1/nodes", operator, s.nodes, "all nodes"},
		{"/system/v1/node/", operator, s.nodeAPI, "node NAME's own API"},
		{"/system/v1/task/", operator, s.taskLog, "output of task ID"},
	}
}

// handler checks permission, takes the proof off the request and routes it.
// There is no ServeMux here: it would clean and redirect paths that belong to
// the services behind.
func (s *Server) handler() http.Handler {
	table := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := match(table, r.URL.Path)
		if to.needs != open {
			if err := s.gate.admit(r); err != nil {
				refuse(w, err)
				return
			}
		}
		r.Header.Del("Authorization") // a service must never see an operator's token
		to.serve(w, r)
	})
}

func match(table []route, path string) route {
	for _, rt := range table {
		below := rt.prefix != "/" && strings.HasSuffix(rt.prefix, "/") && strings.HasPrefix(path, rt.prefix)
		if path == rt.prefix || below {
			return rt
		}
	}
	return route{needs: operator, serve: nowhere}
}

func refuse(w http.ResponseWriter, err error) {
	if api.KindOf(err) == api.KindUnauth {
		w.Header().Set("WWW-Authenticate", "acsjwt") // what DC/OS' clients look for
	}
	api.WriteError(w, err)
}

func nowhere(w http.ResponseWriter, r *http.Request) {
	api.WriteError(w, api.Errorf(api.KindNotFound, "no route for %s", r.URL.Path).
		WithHint("try /service/marathon/v2/apps, /service/NAME/, /system/v1/nodes"))
}

func (s *Server) hello(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]string{"site": s.node.Site, "version": version()})
}

// version is that of the image; outside of one there is none.
func version() string {
	var release struct{ Version string }
	b, err := os.ReadFile("/etc/ingot/release.json")
	if err != nil || json.Unmarshal(b, &release) != nil {
		return "unknown"
	}
	return release.Version
}

func pong(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("pong\n"))
}

func toMarathon(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	rest := strings.TrimPrefix(strings.TrimPrefix(u.Path, "/marathon"), "/")
	u.Path, u.RawPath = "/service/marathon/"+rest, ""
	http.Redirect(w, r, u.String(), http.StatusTemporaryRedirect)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller is gone if this fails
}
