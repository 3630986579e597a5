// Package control is the node's own API on /run/ingot/initd.sock, for root: one
// route table, JSON in the shapes of package api. The node API process offers
// the same paths over mTLS and decides who may call what; here the socket's
// mode decides.
//
// It reads unit state through Units and owns nothing but the rendering of a
// node's status from it and from files below /run/ingot.
package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/initd/journal"
)

// Units is the supervisor as its callers see it.
type Units interface {
	Units(ctx context.Context) ([]api.UnitStatus, error)
	Unit(ctx context.Context, name string) (api.UnitStatus, error)
	Act(ctx context.Context, name, verb string, wait bool) (api.UnitStatus, error)
	Kill(ctx context.Context, name string, signal int) error
	PowerOff(ctx context.Context, action string) error
}

// Node is what the API speaks about.
type Node struct {
	Units   Units
	Journal *journal.Journal
	Run     string // /run/ingot
	InitUS  int64
}

// route is one row of the API; the permission column is the node API's.
type route struct {
	pattern string
	handle  func(n *Node, w http.ResponseWriter, r *http.Request) error
}

var routes = []route{
	{"GET /v1/status", getStatus},
	{"GET /v1/units", getUnits},
	{"GET /v1/units/{id}", getUnit},
	{"POST /v1/units/{id}/{verb}", postUnit},
	{"GET /v1/log", getLog},
	{"POST /v1/power", postPower},
	{"POST /v1/event", postEvent},
}

// Handler serves the routes.
func Handler(n *Node) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := rt.handle(n, w, r); err != nil {
				api.WriteError(w, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "no route for %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// Serve answers on l until it fails.
func Serve(l net.Listener, n *Node) error {
	srv := &http.Server{Handler: Handler(n), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	return fmt.Errorf("serve control socket: %w", srv.Serve(l))
}

func answer(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone if this fails
	return nil
}

func getStatus(n *Node, w http.ResponseWriter, r *http.Request) error {
	st, err := n.Status(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, st)
}

func getUnits(n *Node, w http.ResponseWriter, r *http.Request) error {
	list, err := n.List(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, list)
}

func getUnit(n *Node, w http.ResponseWriter, r *http.Request) error {
	u, err := n.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, u)
}

func postUnit(n *Node, w http.ResponseWriter, r *http.Request) error {
	id, verb := r.PathValue("id"), r.PathValue("verb")
	if verb == "kill" {
		if err := n.kill(r, id); err != nil {
			return err
		}
		return getUnit(n, w, r)
	}
	u, err := n.Units.Act(r.Context(), id, verb, r.FormValue("wait") == "1")
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, u)
}

func (n *Node) kill(r *http.Request, id string) error {
	sig := 15
	if v := r.FormValue("signal"); v != "" {
		var err error
		if sig, err = strconv.Atoi(v); err != nil || sig < 1 || sig > 64 {
			return api.Errorf(api.KindBadRequest, "signal %q is not a number from 1 to 64", v)
		}
	}
	return n.Units.Kill(r.Context(), id, sig)
}

func getLog(n *Node, w http.ResponseWriter, r *http.Request) error {
	q := journal.Query{Unit: r.FormValue("unit"), Lines: 100, Follow: r.FormValue("follow") == "1"}
	if v := r.FormValue("lines"); v != "" {
		var err error
		if q.Lines, err = strconv.Atoi(v); err != nil || q.Lines < 0 {
			return api.Errorf(api.KindBadRequest, "lines %q is not a number", v)
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, ctl := json.NewEncoder(w), http.NewResponseController(w)
	if q.Follow {
		_ = ctl.Flush() // headers first: the caller knows that it is followed
	}
	err := n.Journal.Read(r.Context(), q, func(e api.LogEntry) error {
		if err := enc.Encode(e); err != nil {
			return err
		}
		if q.Follow {
			return ctl.Flush()
		}
		return nil
	})
	if err != nil && r.Context().Err() == nil {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
	return nil
}

func postPower(n *Node, w http.ResponseWriter, r *http.Request) error {
	if err := n.Units.PowerOff(r.Context(), r.FormValue("action")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// postEvent lets the node's other programs tell who watches the machine.
func postEvent(_ *Node, w http.ResponseWriter, r *http.Request) error {
	var e api.BootEvent
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&e); err != nil || e.Event == "" {
		return api.Errorf(api.KindBadRequest, "event does not read: send one api.BootEvent")
	}
	if err := event.Write(e); err != nil {
		return api.Errorf(api.KindUnavailable, "%v", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
