package router

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/api/token"
)

// TestEveryRouteAsksForProof walks the route table: what is not open lets
// nobody through but operators.
func TestEveryRouteAsksForProof(t *testing.T) {
	s := newSite(t)
	s.route()
	_, otherKey, err := pki.NewCA("other", time.Now())
	must(t, err)
	foreign, err := token.Mint(otherKey, "operator", time.Hour, time.Now())
	must(t, err)
	good := s.token("operator", time.Hour)
	callers := []struct {
		name   string
		client *http.Client
		header string
		let    bool
		status int // when not let in
	}{
		{"nobody", s.anyone(), "", false, 401},
		{"a node", s.as("a1"), "", false, 403},
		{"an old token", s.anyone(), "token=" + s.token("operator", -time.Minute), false, 401},
		{"another site's token", s.anyone(), "token=" + foreign, false, 401},
		{"rubbish", s.anyone(), "token=a.b.c", false, 401},
		{"a password", s.anyone(), "Basic b3A6b3A=", false, 401},
		{"an operator's certificate", s.as("operator"), "", true, 0},
		{"a token", s.anyone(), "token=" + good, true, 0},
		{"a bearer token", s.anyone(), "Bearer " + good, true, 0},
		{"a node with a token", s.as("a1"), "token=" + good, true, 0},
	}
	routes := append(s.server.routes(), route{prefix: "/no/such/place", needs: operator})
	for _, rt := range routes {
		if rt.needs != open && rt.needs != operator {
			t.Errorf("%s names no permission", rt.prefix)
		}
		path := rt.prefix
		if strings.HasSuffix(path, "/") && path != "/" {
			path += "x"
		}
		for _, c := range callers {
			var header []string
			if c.header != "" {
				header = []string{"Authorization", c.header}
			}
			resp, body := s.ask(c.client, "GET", path, "", header...)
			refused := resp.StatusCode == 401 || resp.StatusCode == 403
			switch {
			case rt.needs == open && resp.StatusCode != 200:
				t.Errorf("%s by %s: %s", path, c.name, resp.Status)
			case rt.needs == operator && refused == c.let:
				t.Errorf("%s by %s: %s %s", path, c.name, resp.Status, body)
			case rt.needs == operator && !c.let && resp.StatusCode != c.status:
				t.Errorf("%s by %s: %s, want %d", path, c.name, resp.Status, c.status)
			}
			if asks := resp.Header.Get("WWW-Authenticate"); resp.StatusCode == 401 && (asks != "acsjwt" || !strings.Contains(body, `"kind":"unauthorized"`)) {
				t.Errorf("%s by %s: WWW-Authenticate %q, body %s", path, c.name, asks, body)
			}
		}
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"token=abc": "abc", "Bearer abc": "abc", "bearer abc": "abc", "token=": "", "Basic abc": "", "": "", "abc": "",
	} {
		got, ok := bearer(header)
		if ok != (want != "") || ok && got != want {
			t.Errorf("bearer(%q) = %q, %v", header, got, ok)
		}
	}
}

// TestServicesNeverSeeTheToken: what an operator proves himself with must not
// reach an app.
func TestServicesNeverSeeTheToken(t *testing.T) {
	s := newSite(t)
	app := newApp(t, "one")
	s.route(api.Route{Name: "app", RewriteURLs: true, Endpoints: []string{app.address}})
	s.ask(s.anyone(), "GET", "/service/app/", "", "Authorization", "token="+s.token("operator", time.Hour))
	if got := app.last().Header.Get("Authorization"); got != "" {
		t.Errorf("the app saw %q", got)
	}
}
