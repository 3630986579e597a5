package rack

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/sock"
)

// Status is the answer to GET /v1/status.
type Status struct {
	State
	Machines []MachineStatus `json:"machines"`
}

// Stranger is the body of POST /v1/machines: one more machine, with whatever
// token a story gives it.
type Stranger struct {
	Machine
	Token string `json:"token,omitempty"`
}

// routes is all that the control socket answers. Only root reaches the socket.
func (r *Rack) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/status":                 r.getStatus,
		"GET /v1/events":                 r.getEvents,   // ?follow=0: only the past
		"POST /v1/machines":              r.postMachine, // Stranger
		"POST /v1/machines/{name}/power": r.postPower,   // ?action=on|cut
		"POST /v1/machines/{name}/wire":  r.postWire,    // ?action=cut|join
		"POST /v1/record":                r.postRecord,  // ?action=start|stop
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
			if err := h(w, q); err != nil {
				api.WriteError(w, err)
			}
		})
	}
	return mux
}

// Serve answers on the control socket in the rack's folder until ctx ends.
func (r *Rack) Serve(ctx context.Context) error {
	l, err := sock.Listen(r.path(controlSock))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler: r.routes(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ended <- srv.Close()
	}()
	err = srv.Serve(l)
	cancel()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, <-ended)
}

func (r *Rack) getStatus(w http.ResponseWriter, _ *http.Request) error {
	s, err := readState(r.config.Dir)
	if err != nil {
		return err
	}
	s.Running = true
	return json.NewEncoder(w).Encode(Status{State: s, Machines: r.statuses()})
}

func (r *Rack) statuses() []MachineStatus {
	all := []MachineStatus{}
	for _, m := range r.Machines() {
		if s, err := r.slot(m.Name); err == nil {
			all = append(all, s.status())
		}
	}
	return all
}

func (r *Rack) getEvents(w http.ResponseWriter, q *http.Request) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	if q.FormValue("follow") == "0" {
		past, _, _ := r.hub.since(0)
		for _, e := range past {
			if enc.Encode(e) != nil {
				return nil // the caller is gone
			}
		}
		return nil
	}
	for e := range r.Events(q.Context()) {
		if enc.Encode(e) != nil || flush.Flush() != nil {
			return nil // the caller is gone
		}
	}
	return nil
}

func (r *Rack) postMachine(w http.ResponseWriter, q *http.Request) error {
	var s Stranger
	if err := json.NewDecoder(q.Body).Decode(&s); err != nil {
		return api.Errorf(api.KindBadRequest, "read machine: %v", err)
	}
	if err := r.Add(q.Context(), s.Machine, s.Token); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return r.note()
}

func (r *Rack) postPower(w http.ResponseWriter, q *http.Request) error {
	var err error
	switch a := q.FormValue("action"); a {
	case "on":
		err = r.PowerOn(q.Context(), q.PathValue("name"))
	case "cut":
		err = r.PowerCut(q.PathValue("name"))
	default:
		err = api.Errorf(api.KindBadRequest, "power action %q is not on or cut", a)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (r *Rack) postWire(w http.ResponseWriter, q *http.Request) error {
	name, a := q.PathValue("name"), q.FormValue("action")
	if _, err := r.slot(name); err != nil {
		return err
	}
	if a != "cut" && a != "join" {
		return api.Errorf(api.KindBadRequest, "wire action %q is not cut or join", a)
	}
	r.wire.Cut(name, a == "cut")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r *Rack) postRecord(w http.ResponseWriter, q *http.Request) error {
	a := q.FormValue("action")
	if a != "start" && a != "stop" {
		return api.Errorf(api.KindBadRequest, "record action %q is not start or stop", a)
	}
	if err := r.Record(a == "start"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
