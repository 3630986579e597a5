package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/services/apps"
)

// route is one call: who may make it and who answers.
type route struct {
	pattern string
	roles   []api.Role
	do      http.HandlerFunc
}

var (
	operators = []api.Role{api.RoleOperator, api.RoleMaster}
	agents    = []api.Role{api.RoleAgent, api.RolePublicAgent}
)

func (s *Scheduler) routes() []route {
	marathon := apps.Handler(s, s.Release)
	return []route{
		{"/v2/", operators, marathon.ServeHTTP},
		{"/ping", operators, marathon.ServeHTTP},
		{"GET /v1/nodes", operators, s.nodes},
		{"GET /v1/routes", operators, s.routeStream},
		{"POST /agent/v1/register", agents, s.register},
		{"GET /agent/v1/allocs", agents, s.allocStream},
		{"POST /agent/v1/status", agents, s.status},
	}
}

// Handler serves all of the scheduler's calls.
func (s *Scheduler) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, identity.Require(r.do, r.roles...))
	}
	return mux
}

func (s *Scheduler) nodes(w http.ResponseWriter, r *http.Request) {
	out, err := read(r.Context(), s, (*model).nodeViews)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the caller is gone if this fails
}

// register takes an agent's inventory and begins its lease. The roles are those
// of its certificate; the address must be one that the certificate vouches for
// or that the agent speaks from, since requests of others are sent there.
func (s *Scheduler) register(w http.ResponseWriter, r *http.Request) {
	var inv api.AgentInventory
	peer, err := readOwn(w, r, &inv, func() string { return inv.Node })
	if err == nil && !ownAddress(r, inv.Address) {
		err = api.Errorf(api.KindInvalid, "register node %s: address %q is not in its certificate", inv.Node, inv.Address)
	}
	if err != nil {
		api.WriteError(w, err)
		return
	}
	inv.Roles = peer.Roles
	s.takeReport(w, r, inv.Node, func(m *model) error { m.register(inv); return nil })
}

// status takes a report and extends the node's lease.
func (s *Scheduler) status(w http.ResponseWriter, r *http.Request) {
	var rep api.StatusReport
	if _, err := readOwn(w, r, &rep, func() string { return rep.Node }); err != nil {
		api.WriteError(w, err)
		return
	}
	s.takeReport(w, r, rep.Node, func(m *model) error { return m.report(rep) })
}

// takeReport changes the model first, so that the lease's news finds the node
// known.
func (s *Scheduler) takeReport(w http.ResponseWriter, r *http.Request, node string, do func(*model) error) {
	t, err := s.current()
	if err == nil {
		err = t.call(r.Context(), true, do)
	}
	if err == nil {
		err = t.leases.Beat(r.Context(), node)
	}
	if err != nil {
		api.WriteError(w, unavailable(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// unavailable makes the store's faults something to try again after.
func unavailable(err error) error {
	if _, ok := errors.AsType[*api.Error](err); ok {
		return err
	}
	return api.Errorf(api.KindUnavailable, "%v", err)
}

const maxReport = 8 << 20

// readOwn reads a body that an agent sends about itself.
func readOwn(w http.ResponseWriter, r *http.Request, v any, name func() string) (identity.Peer, error) {
	peer, _ := identity.PeerOf(r)
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return peer, api.Errorf(api.KindBadRequest, "read report of node %s: %v", peer.Name, err)
	}
	if name() != peer.Name {
		return peer, api.Errorf(api.KindForbidden, "node %s reports for %q: a node speaks for itself only", peer.Name, name())
	}
	return peer, nil
}

func ownAddress(r *http.Request, address string) bool {
	ip := net.ParseIP(address)
	if ip == nil {
		return false
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	cert := r.TLS.VerifiedChains[0][0]
	return ip.Equal(net.ParseIP(from)) || slices.ContainsFunc(cert.IPAddresses, ip.Equal)
}

func (s *Scheduler) allocStream(w http.ResponseWriter, r *http.Request) {
	peer, _ := identity.PeerOf(r)
	known := false
	err := s.look(r.Context(), func(m *model) error { known = m.nodes[peer.Name] != nil; return nil })
	if err == nil && !known {
		err = api.Errorf(api.KindNotFound, "node %s is not registered", peer.Name).WithHint("POST /agent/v1/register first")
	}
	t, errTerm := s.current()
	if err = errors.Join(err, errTerm); err != nil {
		api.WriteError(w, err)
		return
	}
	stream(r.Context(), w, t, &t.topicOf(peer.Name).topic)
}

func (s *Scheduler) routeStream(w http.ResponseWriter, r *http.Request) {
	t, err := s.current()
	if err != nil {
		api.WriteError(w, err)
		return
	}
	stream(r.Context(), w, t, &t.routes)
}

// heartbeat is how often an idle stream says that it lives: an empty line.
const heartbeat = 4 * time.Second

// stream sends each value of a topic as a line of JSON until the caller leaves
// or the term ends. Callers then connect again.
func stream[T any](ctx context.Context, w http.ResponseWriter, t *term, of *topic[T]) {
	out := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	v, known, changed := of.get()
	for err := out.Flush(); err == nil; err = out.Flush() {
		if known {
			if err := enc.Encode(v); err != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-changed:
			v, known, changed = of.get()
			continue
		case <-tick.C:
			known = false // said already
			_, _ = w.Write([]byte("\n"))
		case <-ctx.Done():
			return
		case <-t.done:
			return
		}
	}
}
