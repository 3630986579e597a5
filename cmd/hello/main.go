// Hello is the example app: a web server that says which task answers. It
// listens on $LISTEN, else on 0.0.0.0:$PORT0, else on port 8080, and ends on
// SIGTERM after the requests it has begun.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, address(os.Getenv)); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// address is where to listen: in a bridge $PORT0 is the host's port, not ours,
// so $LISTEN comes first.
func address(env func(string) string) string {
	if listen := env("LISTEN"); listen != "" {
		return listen
	}
	if port := env("PORT0"); port != "" {
		return "0.0.0.0:" + port
	}
	return "0.0.0.0:8080"
}

func run(ctx context.Context, addr string) error {
	server := &http.Server{Addr: addr, Handler: handler(os.Getenv), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	fmt.Println("hello: listening on", addr)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	fmt.Println("hello: done")
	return nil
}

func handler(env func(string) string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from app %s, task %s, on %s\n", env("MARATHON_APP_ID"), env("MESOS_TASK_ID"), env("HOST"))
	})
	return mux
}
