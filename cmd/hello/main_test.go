package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "0.0.0.0:8080"},
		{map[string]string{"PORT0": "31005"}, "0.0.0.0:31005"},
		{map[string]string{"PORT0": "31005", "LISTEN": ":8080"}, ":8080"},
	} {
		if got := address(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	env := map[string]string{"MARATHON_APP_ID": "/hello", "MESOS_TASK_ID": "hello.1", "HOST": "10.77.0.12"}
	h := handler(func(k string) string { return env[k] })
	for path, want := range map[string]string{
		"/":       "hello from app /hello, task hello.1, on 10.77.0.12\n",
		"/health": "ok\n",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, "127.0.0.1:0"); err != nil {
		t.Error(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := run(t.Context(), taken.Addr().String()); err == nil {
		t.Error("no error on a port in use")
	}
}
