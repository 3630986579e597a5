package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/initd/atomicfile"
)

// Renew replaces the node's certificate, for the same key, when half of its
// life is over; before that it does nothing. It is started by a timer.
func Renew(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("renew", flag.ContinueOnError)
	dir := fs.String("identity", identity.NodeDir, "folder of key and certificate")
	port := fs.Int("port", api.PortCA, "port of the masters' ca")
	force := fs.Bool("force", false, "renew before half life too")
	if err := fs.Parse(args); err != nil {
		return err
	}
	src := &identity.Source{Dir: *dir}
	cert, err := src.Certificate()
	if err != nil {
		return err
	}
	if !*force && !due(cert.Leaf, time.Now()) {
		return nil
	}
	fresh, err := renew(ctx, src, *port)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(*dir, identity.FileCert), fresh, 0o640, components); err != nil {
		return err
	}
	log.New(os.Stderr, "", 0).Printf("<6>certificate of %s renewed", cert.Leaf.Subject.CommonName)
	return nil
}

// due tells whether half of a certificate's life is over.
func due(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2))
}

// renew asks one master after the other.
func renew(ctx context.Context, src *identity.Source, port int) ([]byte, error) {
	node, err := src.Node()
	if err != nil {
		return nil, err
	}
	if len(node.Masters) == 0 {
		return nil, fmt.Errorf("renew certificate of %s: %s names no masters", node.Name, identity.FileNode)
	}
	c, err := src.HTTPClient()
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	var all []error
	for _, m := range node.Masters {
		cert, err := renewAt(ctx, src, c, node, net.JoinHostPort(m, strconv.Itoa(port)))
		if err == nil {
			return cert, nil
		}
		all = append(all, err)
	}
	return nil, fmt.Errorf("renew certificate of %s: %w", node.Name, errors.Join(all...))
}

func renewAt(ctx context.Context, src *identity.Source, c *http.Client, node api.NodeIdentity, host string) ([]byte, error) {
	pair, err := src.Certificate()
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the node's key is a %T, not ECDSA", pair.PrivateKey)
	}
	csr, err := pki.NewRequest(key, node.Name)
	if err != nil {
		return nil, err
	}
	var reply api.SignReply
	if err := post(ctx, c, "https://"+host+"/v1/renew", api.RenewRequest{CSR: string(csr)}, &reply); err != nil {
		return nil, err
	}
	fresh, err := pki.ParseCert([]byte(reply.Certificate))
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(fresh.PublicKey) {
		return nil, fmt.Errorf("%s answers with a certificate of another key", host)
	}
	ca, err := os.ReadFile(filepath.Join(src.Dir, identity.FileCA))
	if err != nil {
		return nil, fmt.Errorf("read site CA: %w", err)
	}
	return []byte(reply.Certificate), holds(fresh, ca, node)
}
