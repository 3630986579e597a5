package scheduler

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/serve"
	"github.com/ingot-os/ingot/services/scheduler/state"
)

// Run is the component: ingotd scheduler.
func Run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("scheduler", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	dir := fs.String("identity", identity.NodeDir, "folder of the node's certificate")
	listen := fs.String("listen", ":"+strconv.Itoa(api.PortScheduler), "address, when init hands over no socket")
	store := fs.String("store", net.JoinHostPort("127.0.0.1", strconv.Itoa(api.PortStore)), "address of the store")
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	id := &identity.Source{Dir: *dir}
	node, err := id.Node()
	if err != nil {
		return err
	}
	server, err := id.Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		return err
	}
	// The store's client outlives ctx, so that leadership can be given back.
	client, err := state.Open(context.WithoutCancel(ctx), id, *store)
	if err != nil {
		return err
	}
	defer client.Close()
	s := &Scheduler{Client: client, Address: node.Address, Release: release()}
	return s.serve(ctx, serve.Options{Listen: *listen, TLS: server})
}

// serve listens before it stands for election: who holds the port is the only
// scheduler of this node (bury).
func (s *Scheduler) serve(ctx context.Context, o serve.Options) error {
	l, handed, err := serve.Listener(o.Listen)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { _ = s.Lead(ctx) }) // ends with ctx, never by an error
	return serve.On(ctx, l, handed, o, s.Handler())
}

// release is the version of the running image.
func release() string {
	var r struct {
		Version string `json:"version"`
	}
	b, err := os.ReadFile("/etc/ingot/release.json")
	if err != nil || json.Unmarshal(b, &r) != nil {
		return "unknown" // not on a node
	}
	return r.Version
}
