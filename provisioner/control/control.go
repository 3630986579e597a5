// Package control is the provisioner's local door: a unix socket for whoever
// started it, readable and writable by the owner only.
//
//	GET  /v1/machines   []api.Machine
//	GET  /v1/events     NDJSON of api.Machine: all of them first, then each change
//	POST /v1/tokens     {"name"} -> {"token"}: one more one-time token for a
//	                    known machine; its earlier ones end
package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/provisioner/inventory"
	"github.com/ingot-os/ingot/provisioner/site"
)

// Server answers on the socket.
type Server struct {
	Site     *site.Site
	Machines *inventory.Inventory
}

// Listen opens the socket at path. A socket that a dead process left is
// replaced; one that answers is not.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	var d net.Dialer
	if c, err := d.DialContext(ctx, "unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen on %s: another provisioner answers there; stop it first", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

// Handler routes the calls.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/machines", s.machines)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/tokens", s.token)
	return mux
}

func (s *Server) machines(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.Machines.Machines())
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	watch := s.Machines.Watch()
	defer watch.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	for {
		changed, err := watch.Next(r.Context())
		if err != nil {
			return // the listener is gone, or we are ending
		}
		for _, m := range changed {
			if out.Encode(m) != nil {
				return
			}
		}
		if flush.Flush() != nil {
			return
		}
	}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"name"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		api.WriteError(w, api.Errorf(api.KindBadRequest, "read request for a token: %v", err))
		return
	}
	t, err := s.newToken(in.Name)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"token": t})
}

func (s *Server) newToken(name string) (string, error) {
	for _, m := range s.Machines.Machines() {
		if m.Name != name {
			continue
		}
		if len(m.Roles) == 0 {
			return "", api.Errorf(api.KindInvalid, "make token for %s: it has no roles: add it to the machines of the site", name)
		}
		return s.Site.NewToken(name, m.Roles, time.Now())
	}
	return "", api.Errorf(api.KindNotFound, "make token for %q: there is no such machine", name)
}
