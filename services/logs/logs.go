// Package logs serves the standard output and error of this node's tasks.
//
// It owns one route and reads files; it refuses to write anything, to list
// tasks, and to serve any other file of a sandbox. It runs as a user that can
// do no more than read them, starts with the first caller and ends when idle.
// Its only goroutines are the HTTP server's.
package logs

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/serve"
)

// Lines served without the parameter, and at most.
const (
	defaultLines = 100
	maxLines     = 100_000
)

// Run is the component.
func Run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("logs", flag.ContinueOnError)
	dir := f.String("identity", identity.NodeDir, "folder of the node's certificate and node.json")
	data := f.String("data", "/var/lib/ingot/agent", "the agent's folder")
	listen := f.String("listen", ":"+strconv.Itoa(api.PortTaskLog), "address to listen on without a socket from init")
	idle := f.Duration("idle", time.Minute, "end after so long without a connection")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	id := &identity.Source{Dir: *dir}
	cfg, err := id.Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		return err
	}
	return serve.HTTP(ctx, serve.Options{Listen: *listen, TLS: cfg, Idle: *idle}, Handler(*data))
}

// Handler serves GET /v1/task/ID/stdout|stderr?lines=N&follow=1 as text/plain
// to operators and masters.
func Handler(data string) http.Handler {
	mux := http.NewServeMux()
	h := &handler{tasks: filepath.Join(data, "tasks")}
	mux.HandleFunc("GET /v1/task/{id}/{name}", identity.Require(h.file, api.RoleOperator, api.RoleMaster))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "%s %s is not served here", r.Method, r.URL.Path))
	})
	return mux
}

type handler struct{ tasks string }

func (h *handler) file(w http.ResponseWriter, r *http.Request) {
	q, err := parse(r)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	f, err := h.open(q)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	defer f.Close()
	at, err := tail(f, q.lines)
	if err != nil {
		api.WriteError(w, fmt.Errorf("read %s of %s: %w", q.name, q.id, err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.send(w, r, f, at, q)
}

// query is a request that reads.
type query struct {
	id, name string
	lines    int
	follow   bool
}

func parse(r *http.Request) (query, error) {
	q := query{id: r.PathValue("id"), name: r.PathValue("name"), lines: defaultLines}
	if !api.ValidTaskID(q.id) {
		return q, api.Errorf(api.KindBadRequest, "task id %q cannot be one", q.id)
	}
	if q.name != "stdout" && q.name != "stderr" {
		return q, api.Errorf(api.KindNotFound, "a task has stdout and stderr, not %q", q.name)
	}
	if s := r.URL.Query().Get("lines"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > maxLines {
			return q, api.Errorf(api.KindBadRequest, "lines=%s: want a number from 0 to %d", s, maxLines)
		}
		q.lines = n
	}
	switch s := r.URL.Query().Get("follow"); s {
	case "", "0", "false":
	case "1", "true":
		q.follow = true
	default:
		return q, api.Errorf(api.KindBadRequest, "follow=%s: want 1", s)
	}
	return q, nil
}

// open opens through the folder of tasks, so that no link leads out of it: a
// task can write to its folder only through its own mount, but nothing here
// should depend on that.
func (h *handler) open(q query) (*os.File, error) {
	root, err := os.OpenRoot(h.tasks)
	if err == nil {
		defer root.Close()
		var f *os.File
		if f, err = root.Open(filepath.Join(q.id, q.name)); err == nil {
			return f, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Errorf(api.KindNotFound, "task %s has no %s on this node", q.id, q.name)
	}
	return nil, fmt.Errorf("open %s of %s: %w", q.name, q.id, err)
}
