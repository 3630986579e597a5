package router

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
)

// tableWait is how long a first request waits for the first routes.
const tableWait = 5 * time.Second

// service leads /service/NAME/… to an instance of NAME.
func (s *Server) service(w http.ResponseWriter, r *http.Request) {
	if err := s.table.wait(r.Context(), tableWait); err != nil {
		api.WriteError(w, err)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/service/")
	to, ok := s.table.find(path)
	switch {
	case !ok:
		api.WriteError(w, s.unknown(path))
	case path == to.Name && to.RewriteURLs:
		// Relative links of the service's page need the slash (RFC 3986 section 5.2.3).
		redirectSlash(w, r)
	case len(to.Endpoints) == 0:
		api.WriteError(w, api.Errorf(api.KindUnavailable, "no instance of %s runs (app %s)", to.Name, to.App).
			WithHint("ingot app show %s says why", to.App))
	default:
		s.toInstance(w, r, to)
	}
}

func (s *Server) unknown(path string) error {
	name, _, _ := strings.Cut(path, "/")
	err := api.Errorf(api.KindNotFound, "no service %q", name)
	names := s.table.names()
	if len(names) == 0 {
		return err.WithHint("no app carries the label DCOS_SERVICE_NAME")
	}
	return err.WithHint("services are marathon, %s", strings.Join(names, ", "))
}

func redirectSlash(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	u.Path += "/"
	http.Redirect(w, r, u.String(), http.StatusTemporaryRedirect)
}

func (s *Server) toInstance(w http.ResponseWriter, r *http.Request, to api.Route) {
	scheme := to.Scheme
	if scheme == "" {
		scheme = "http"
	}
	prefix := ""
	if to.RewriteURLs {
		prefix = "/service/" + to.Name
	}
	proxy(w, r, hop{
		by:     &attempts{pool: s.backends, order: s.backends.pick(scheme, to.Endpoints)},
		scheme: scheme, host: to.Endpoints[0], strip: prefix, what: "service " + to.Name,
	})
}

// hop is one way from the router to something behind it.
type hop struct {
	by           http.RoundTripper
	scheme, host string
	strip        string // taken off the front of the path, put back on redirects
	add          string // put in its place
	what         string // for errors
}

// proxy passes a request on and its answer back, upgrades and streams too.
func proxy(w http.ResponseWriter, r *http.Request, h hop) {
	p := httputil.ReverseProxy{
		Transport:      h.by,
		Rewrite:        func(pr *httputil.ProxyRequest) { h.rewrite(pr) },
		ModifyResponse: h.restore,
		ErrorHandler:   h.failed,
	}
	p.ServeHTTP(w, r)
}

func (h hop) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded()
	if h.strip != "" {
		pr.Out.Header.Set("X-Forwarded-Prefix", h.strip)
	}
	u := pr.Out.URL
	u.Scheme, u.Host = h.scheme, h.host
	u.Path = h.add + strings.TrimPrefix(u.Path, h.strip)
	if u.RawPath != "" {
		u.RawPath = h.add + strings.TrimPrefix(u.RawPath, h.strip)
	}
	if u.Path == "" {
		u.Path = "/"
	}
}

// restore makes redirects of a service that does not know its prefix lead back
// through the router.
func (h hop) restore(resp *http.Response) error {
	where := resp.Header.Get("Location")
	if h.strip == "" || where == "" {
		return nil
	}
	u, err := url.Parse(where)
	if err != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, h.strip+"/") {
		return nil // not ours to repair
	}
	if u.Host != "" && u.Host != resp.Request.URL.Host && u.Host != resp.Request.Host {
		return nil // leads elsewhere
	}
	u.Scheme, u.Host = "", ""
	u.Path = h.strip + strings.TrimPrefix(u.Path, h.add)
	resp.Header.Set("Location", u.String())
	return nil
}

func (h hop) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the caller has left
	}
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	api.WriteError(w, api.Errorf(api.KindUnavailable, "%s does not answer: %s", h.what, line))
}
