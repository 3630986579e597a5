// Package nodeapi is a node's front door for operators and masters: `initd api`,
// mTLS on port 7100, passing calls to init's control socket.
//
// It owns who may call what, in one table; what a call means is init's. It is
// started by its socket and ends by itself when idle, so init never parses TLS and
// a node at rest has no such process. It refuses callers without a certificate of
// this site, roles that the table does not name, and paths that it does not hold.
// Streams are passed on line by line. It starts no goroutines of its own.
package nodeapi

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/serve"
)

// route is one call and the roles that may make it.
type route struct {
	pattern string // of net/http: METHOD PATH
	roles   []api.Role
}

// admins may see and steer a node: an operator, and a master that passes on what
// an operator asked at its router.
var admins = []api.Role{api.RoleOperator, api.RoleMaster}

// routes is all that the node API answers.
var routes = []route{
	{"GET /v1/status", admins},
	{"GET /v1/units", admins},
	{"GET /v1/units/{id}", admins},
	{"POST /v1/units/{id}/start", admins},
	{"POST /v1/units/{id}/stop", admins},
	{"POST /v1/units/{id}/restart", admins},
	{"POST /v1/units/{id}/kill", admins},
	{"GET /v1/log", admins},
	{"POST /v1/power", admins},
}

// Run serves until ctx ends or nobody has called for a while.
func Run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("api", flag.ContinueOnError)
	dir := fs.String("identity", identity.NodeDir, "folder of the node's certificate")
	socket := fs.String("socket", "/run/ingot/initd.sock", "init's control socket")
	listen := fs.String("listen", fmt.Sprintf(":%d", api.PortNode), "address, when init hands over no socket")
	idle := fs.Duration("idle", time.Minute, "end after so long without a connection, with a socket from init")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg, err := (&identity.Source{Dir: *dir}).Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		return err
	}
	return serve.HTTP(ctx, serve.Options{Listen: *listen, TLS: cfg, Idle: *idle}, handler(*socket))
}

// handler checks roles and passes on to init.
func handler(socket string) http.Handler {
	pass := proxy(socket)
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.pattern, identity.Require(pass.ServeHTTP, r.roles...))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "the node API has no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

// proxy carries a call to a unix socket.
func proxy(socket string) *httputil.ReverseProxy {
	var d net.Dialer
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "initd", "initd"
		},
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
			IdleConnTimeout:   10 * time.Second,
			ForceAttemptHTTP2: false,
		},
		FlushInterval: -1, // a line of a log is worth a packet
		ErrorLog:      log.New(os.Stderr, "<4>", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the caller went away: nothing is wrong
			}
			api.WriteError(w, api.Errorf(api.KindUnavailable, "%s %s: ask init: %v", r.Method, r.URL.Path, err).
				WithHint("init's supervisor may be restarting: try again"))
		},
	}
}
