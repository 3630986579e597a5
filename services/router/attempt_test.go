package router

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

// limit is what one GET may take while one of two instances is dead.
const limit = 2 * time.Second

// mute accepts connections and never says a word, as a machine whose power is
// gone does to connections that were open; it counts them.
func mute(t *testing.T) (address string, accepted *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	accepted = new(atomic.Int32)
	var held sync.WaitGroup
	held.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			held.Go(func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); held.Wait() })
	return l.Addr().String(), accepted
}

// hole never finishes a handshake: its backlog is full, so the kernel drops
// every SYN, which is what a machine without power does.
func hole(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(fd, 0))
	sa, err := unix.Getsockname(fd)
	must(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this kernel accepts connections beyond the backlog")
	return ""
}

// closed refuses connections.
func closed(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	return l.Addr().String()
}

func TestOneOfTwoInstancesIsDead(t *testing.T) {
	muted, accepted := mute(t)
	for _, c := range []struct {
		name, dead string
	}{
		{"never answers", muted},
		{"no handshake", hole(t)},
		{"refuses", closed(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			alive := newApp(t, "alive")
			s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{c.dead, alive.address}})
			op := s.as("operator")
			for i := range 30 {
				start := time.Now()
				resp, body := s.ask(op, "GET", "/service/a/", "")
				if took := time.Since(start); resp.StatusCode != 200 || took > limit {
					t.Fatalf("request %d: %s %s after %s", i, resp.Status, body, took)
				}
			}
			if alive.count() != 30 {
				t.Errorf("the live instance saw %d requests of 30", alive.count())
			}
		})
	}
	if n := accepted.Load(); n == 0 || n > 4 {
		t.Errorf("the mute instance was asked %d times in 30: it should be tried, then come last", n)
	}
}

// TestKeptConnectionDies: an instance that served a moment ago falls silent on
// the connections it has.
func TestKeptConnectionDies(t *testing.T) {
	s := newSite(t)
	var dead atomic.Bool
	release := make(chan struct{})
	failing := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if dead.Load() {
			<-release
		}
	}))
	defer failing.Close()
	defer close(release)
	alive := newApp(t, "alive")
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{failing.Listener.Addr().String(), alive.address}})
	op := s.as("operator")
	for i := range 20 {
		dead.Store(i >= 6)
		start := time.Now()
		resp, body := s.ask(op, "GET", "/service/a/", "")
		if took := time.Since(start); resp.StatusCode != 200 || took > limit {
			t.Fatalf("request %d: %s %s after %s", i, resp.Status, body, took)
		}
	}
}

// TestPostsAreSeenOnce: a request that changes things goes on only when it
// cannot have been seen, with its body whole.
func TestPostsAreSeenOnce(t *testing.T) {
	s := newSite(t)
	alive := newApp(t, "alive")
	op := s.as("operator")
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{closed(t), hole(t), alive.address}})
	for i := range 6 {
		want := fmt.Sprintf("body %d", i)
		if resp, body := s.ask(op, "POST", "/service/a/echo", want); resp.StatusCode != 200 || body != want {
			t.Fatalf("POST %d: %s %q", i, resp.Status, body)
		}
	}
	if alive.count() != 6 {
		t.Errorf("six POSTs were seen %d times", alive.count())
	}

	var rude atomic.Int32
	hangup := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		rude.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer hangup.Close()
	seen := alive.count()
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{hangup.Listener.Addr().String(), alive.address}})
	failed := 0
	for range 4 {
		if resp, _ := s.ask(op, "POST", "/service/a/echo", "x"); resp.StatusCode == 503 {
			failed++
		}
	}
	if got := int(rude.Load()); got != failed || got+alive.count()-seen != 4 {
		t.Errorf("4 POSTs: %d hung up on, %d answered, %d failed", got, alive.count()-seen, failed)
	}
}

// TestAllInstancesDead: the answer says what each one did.
func TestAllInstancesDead(t *testing.T) {
	s := newSite(t)
	s.route(api.Route{Name: "a", RewriteURLs: true, Endpoints: []string{closed(t), closed(t)}})
	for _, method := range []string{"GET", "POST"} {
		resp, body := s.ask(s.as("operator"), method, "/service/a/", "")
		if resp.StatusCode != 503 {
			t.Errorf("%s: %s %s", method, resp.Status, body)
		}
	}
}

func TestPickTakesTurnsAndPutsBadLast(t *testing.T) {
	now := time.Now()
	b := newBackends()
	b.now = func() time.Time { return now }
	ends := []string{"a", "b", "c"}
	first := map[string]int{}
	for range 9 {
		first[b.pick("http", ends)[0].address]++
	}
	if first["a"] != 3 || first["b"] != 3 || first["c"] != 3 {
		t.Errorf("turns were %v", first)
	}
	b.eject(b.all["http://b"])
	for range 6 {
		if got := b.pick("http", ends); got[2].address != "b" {
			t.Errorf("the ejected one is not last: %s", got[0].address)
		}
	}
	now = now.Add(ejectFor)
	again := false
	for range 3 {
		again = again || b.pick("http", ends)[0].address == "b"
	}
	if !again {
		t.Error("the ejected one does not come back")
	}
	now = now.Add(2 * time.Minute)
	b.pick("http", ends[:1])
	if len(b.all) != 1 {
		t.Errorf("%d backends are kept, one is in use", len(b.all))
	}
}
