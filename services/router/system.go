package router

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// marathon leads /service/marathon/… to this master's scheduler.
func (s *Server) marathon(w http.ResponseWriter, r *http.Request) {
	proxy(w, r, hop{by: s.upstream, scheme: "https", host: s.Scheduler, strip: "/service/marathon", what: "the scheduler"})
}

// nodes answers all nodes.
func (s *Server) nodes(w http.ResponseWriter, r *http.Request) {
	list, err := s.fleet.nodes(r.Context())
	if err != nil {
		api.WriteError(w, err)
		return
	}
	writeJSON(w, list)
}

// nodeAPI leads /system/v1/node/NAME/… to that node's own API.
func (s *Server) nodeAPI(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/system/v1/node/"), "/")
	n, err := s.fleet.find(r.Context(), name)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	proxy(w, r, hop{
		by: s.upstream, scheme: "https", host: net.JoinHostPort(n.Node, strconv.Itoa(s.NodePort)),
		strip: "/system/v1/node/" + name, what: "node " + n.Node,
	})
}

// taskLog leads /system/v1/task/ID/stdout to the logs of the task's node.
func (s *Server) taskLog(w http.ResponseWriter, r *http.Request) {
	id, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/system/v1/task/"), "/")
	if file != "stdout" && file != "stderr" {
		api.WriteError(w, api.Errorf(api.KindNotFound, "task %q has no %q", id, file).WithHint("it has stdout and stderr"))
		return
	}
	n, err := s.fleet.nodeOf(r.Context(), id)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	proxy(w, r, hop{
		by: s.upstream, scheme: "https", host: net.JoinHostPort(n.Node, strconv.Itoa(s.LogPort)),
		strip: "/system", what: "task logs of node " + n.Node,
	})
}
