package router

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/serve"
)

// Server is the router of one master. Fields are set before Run.
type Server struct {
	Identity  *identity.Source
	Scheduler string // host:port of this master's scheduler
	NodePort  int    // of every node's API
	LogPort   int    // of every agent's task logs

	node     api.NodeIdentity
	upstream *http.Transport // mTLS, to Ingot's own components
	table    *table
	fleet    *fleet
	gate     *gate
	backends *backends
}

// Main is `ingotd router`.
func Main(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("router", flag.ContinueOnError)
	dir := fs.String("identity", identity.NodeDir, "folder with ca.crt, node.crt, node.key, node.json")
	listen := fs.String("listen", fmt.Sprintf(":%d", api.PortRouter), "address to listen on without a socket from init")
	idle := fs.Duration("idle", 5*time.Minute, "end after so long without a connection, when init holds the socket")
	scheduler := fs.String("scheduler", fmt.Sprintf("127.0.0.1:%d", api.PortScheduler), "host:port of the scheduler")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s := &Server{
		Identity:  &identity.Source{Dir: *dir},
		Scheduler: *scheduler,
		NodePort:  api.PortNode,
		LogPort:   api.PortTaskLog,
	}
	l, handed, err := serve.Listener(*listen)
	if err != nil {
		return err
	}
	return s.Run(ctx, l, handed, *idle)
}

// Run serves l until ctx ends or the router has idled out.
func (s *Server) Run(ctx context.Context, l net.Listener, handed bool, idle time.Duration) error {
	cfg, err := s.prepare()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return s.run(ctx, l, handed, idle, cfg)
}

func (s *Server) run(ctx context.Context, l net.Listener, handed bool, idle time.Duration, cfg *tls.Config) error {
	ctx, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { s.table.run(ctx) })
	defer following.Wait()
	defer stop()
	defer s.upstream.CloseIdleConnections()
	defer s.backends.close()
	return serve.On(ctx, l, handed, serve.Options{TLS: cfg, Idle: idle}, s.handler())
}

func (s *Server) prepare() (*tls.Config, error) {
	var err error
	if s.node, err = s.Identity.Node(); err != nil {
		return nil, err
	}
	if s.gate, err = newGate(s.Identity.Dir); err != nil {
		return nil, err
	}
	client, err := s.Identity.Client()
	if err != nil {
		return nil, err
	}
	s.fleet = &fleet{scheduler: s.Scheduler, own: s.node}
	s.upstream = &http.Transport{
		TLSClientConfig:     client,
		DialContext:         s.fleet.dial,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
	s.fleet.client = &http.Client{Transport: s.upstream}
	s.table = newTable(s.Scheduler, s.fleet.client)
	s.backends = newBackends()
	return s.Identity.Server(tls.VerifyClientCertIfGiven)
}

// warnf writes one line for the journal, syslog's level in front.
func warnf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "<4>"+format+"\n", args...)
}
