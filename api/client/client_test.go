package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

// onSocket serves h on a unix socket and returns a client of it.
func onSocket(t *testing.T, h http.Handler) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	c := Unix(path)
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c
}

func TestNodeOverItsSocket(t *testing.T) {
	var asked []string
	n := NewNode(onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/log"):
			enc := json.NewEncoder(w)
			_ = enc.Encode(api.LogEntry{Message: "one"})
			_ = enc.Encode(api.LogEntry{Message: "two"})
		case r.URL.Path == "/v1/units":
			fmt.Fprint(w, `[{"unit":"a.service"}]`)
		case r.URL.Path == "/v1/power":
			w.WriteHeader(http.StatusAccepted)
		default:
			fmt.Fprint(w, `{"name":"m1","unit":"a@1.service"}`)
		}
	})))
	ctx := t.Context()
	s, err := n.Status(ctx)
	if err != nil || s.Name != "m1" {
		t.Errorf("status %v, %v", s, err)
	}
	if u, err := n.Units(ctx); err != nil || len(u) != 1 {
		t.Errorf("units %v, %v", u, err)
	}
	if u, err := n.Unit(ctx, "a@1.service"); err != nil || u.Unit != "a@1.service" {
		t.Errorf("unit %v, %v", u, err)
	}
	if _, err := n.Act(ctx, "a@1.service", Restart); err != nil {
		t.Error(err)
	}
	if _, err := n.Kill(ctx, "a@1.service", 9); err != nil {
		t.Error(err)
	}
	if err := n.Power(ctx, Reboot); err != nil {
		t.Error(err)
	}
	var got []string
	err = n.Log(ctx, LogQuery{Unit: "a", Lines: 2}, func(e api.LogEntry) error { got = append(got, e.Message); return nil })
	if err != nil || strings.Join(got, " ") != "one two" {
		t.Errorf("log %v, %v", got, err)
	}
	want := "GET /v1/status|GET /v1/units|GET /v1/units/a@1.service|POST /v1/units/a@1.service/restart|" +
		"POST /v1/units/a@1.service/kill?signal=9|POST /v1/power?action=reboot|GET /v1/log?lines=2&unit=a"
	if s := strings.Join(asked, "|"); s != want {
		t.Errorf("asked %s", s)
	}
}

func TestStatedErrors(t *testing.T) {
	var answer http.HandlerFunc
	n := NewNode(onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) })))
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		kind   api.Kind
		text   string
	}{
		{"ours", func(w http.ResponseWriter, _ *http.Request) {
			api.WriteError(w, api.Errorf(api.KindNotFound, "no unit").WithHint("look"))
		}, api.KindNotFound, "no unit (look)"},
		{"Marathon's", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"message":"not valid","details":[{"path":"/id","errors":["empty"]}]}`)
		}, api.KindInvalid, "not valid; /id: empty"},
		{"none", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oh", http.StatusBadGateway) }, api.KindInternal, "502 Bad Gateway oh"},
	} {
		answer = c.answer
		_, err := n.Status(t.Context())
		if api.KindOf(err) != c.kind || err.Error() != c.text {
			t.Errorf("%s: %s %v", c.name, api.KindOf(err), err)
		}
	}
	answer = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{") }
	if _, err := n.Status(t.Context()); err == nil {
		t.Error("half an answer is taken for one")
	}
}

func TestNobodyAnswers(t *testing.T) {
	n := NewNode(Unix(filepath.Join(t.TempDir(), "none")))
	if _, err := n.Status(t.Context()); api.KindOf(err) != api.KindUnavailable {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
}

// TestStreamsEndWithTheirCaller: following ends by the context, and by the
// caller's own error.
func TestStreamsEndWithTheirCaller(t *testing.T) {
	m := NewMachines(onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Machine{Name: "m1"})
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})))
	enough := errors.New("enough")
	if err := m.Watch(t.Context(), func(api.Machine) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := m.Watch(ctx, func(api.Machine) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
