// Package ca is the site's certificate authority once it lives in the cluster:
// `ingotd ca` on a master, mTLS on port 7210, started by its socket and gone again
// when idle.
//
//	POST /v1/sign    provisioner: a certificate for a machine that it admits,
//	                 with node roles only
//	POST /v1/renew   a node, or the provisioner: a new certificate for itself, with
//	                 the name, roles and addresses of the one it calls with
//
// It reads the CA's key, which `initd enrol` left for it alone, at each start and
// keeps no record yet: certificates live for a day. It refuses to sign anything for
// an operator, requests that are not signed by their key or not ECDSA P-256, and to
// sign while the clock is before the CA's own beginning. It starts no goroutines.
package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/api/serve"
)

// Run serves until ctx ends or nobody has called for a while.
func Run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("ca", flag.ContinueOnError)
	dir := fs.String("identity", identity.NodeDir, "folder of the node's certificate and the CA's")
	key := fs.String("key", "/run/ingot/ca/ca.key", "the CA's key")
	listen := fs.String("listen", fmt.Sprintf(":%d", api.PortCA), "address, when init hands over no socket")
	idle := fs.Duration("idle", time.Minute, "end after so long without a connection, with a socket from init")
	if err := fs.Parse(args); err != nil {
		return err
	}
	a, err := open(*dir, *key)
	if err != nil {
		return err
	}
	cfg, err := (&identity.Source{Dir: *dir}).Server(tls.RequireAndVerifyClientCert)
	if err != nil {
		return err
	}
	return serve.HTTP(ctx, serve.Options{Listen: *listen, TLS: cfg, Idle: *idle}, a.handler())
}

// authority is the CA with its key.
type authority struct {
	site string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
	log  *log.Logger
}

// open reads certificate and key, which must fit.
func open(dir, keyPath string) (*authority, error) {
	b, err := os.ReadFile(filepath.Join(dir, identity.FileCA))
	if err != nil {
		return nil, fmt.Errorf("read site CA: %w", err)
	}
	cert, err := pki.ParseCert(b)
	if err != nil {
		return nil, fmt.Errorf("read site CA: %w", err)
	}
	b, err = os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("read the site CA's key: %w (it is handed to the first master alone)", err)
	}
	key, err := pki.ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("read the site CA's key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("key %s is not that of %s", keyPath, cert.Subject.CommonName)
	}
	a := &authority{cert: cert, key: key, now: time.Now, log: log.New(os.Stderr, "", 0)}
	if o := cert.Subject.Organization; len(o) > 0 {
		a.site = o[0]
	}
	return a, nil
}

// route is one call and the roles that may make it.
type route struct {
	pattern string
	roles   []api.Role
	handle  http.HandlerFunc
}

func (a *authority) routes() []route {
	return []route{
		{"POST /v1/sign", []api.Role{api.RoleProvisioner}, a.sign},
		{"POST /v1/renew", append([]api.Role{api.RoleProvisioner}, api.NodeRoles...), a.renew},
	}
}

func (a *authority) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		mux.HandleFunc(r.pattern, identity.Require(r.handle, r.roles...))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		api.WriteError(w, api.Errorf(api.KindNotFound, "the CA has no %s %s", r.Method, r.URL.Path))
	})
	return mux
}
