// Package identity is how every program of Ingot proves who it is and reads who
// is calling: a folder with ca.crt, node.crt and node.key, and the roles in a
// certificate's subject.
//
// A certificate names its holder in the common name and its roles in the
// organizational units. Certificates live for a day, so a Source looks at the
// files again for each handshake and picks up a renewed one without a restart.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
)

// NodeDir is where a node keeps its identity.
const NodeDir = "/run/ingot/identity"

// Names of the files in an identity folder.
const (
	FileCA   = "ca.crt"
	FileCert = "node.crt"
	FileKey  = "node.key"
	FileNode = "node.json"
)

// Peer is who a certificate speaks for.
type Peer struct {
	Name  string
	Roles []api.Role
}

// Is tells whether the peer carries one of these roles.
func (p Peer) Is(roles ...api.Role) bool {
	return slices.ContainsFunc(roles, func(r api.Role) bool { return slices.Contains(p.Roles, r) })
}

// PeerOf reads a verified connection's client certificate.
func PeerOf(r *http.Request) (Peer, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Peer{}, false
	}
	return FromCertificate(r.TLS.VerifiedChains[0][0]), true
}

// FromCertificate reads name and roles out of a certificate.
func FromCertificate(c *x509.Certificate) Peer {
	p := Peer{Name: c.Subject.CommonName}
	for _, ou := range c.Subject.OrganizationalUnit {
		p.Roles = append(p.Roles, api.Role(ou))
	}
	return p
}

// Require lets a request through when its caller carries one of the roles.
func Require(next http.HandlerFunc, roles ...api.Role) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := PeerOf(r)
		switch {
		case !ok:
			api.WriteError(w, api.Errorf(api.KindUnauth, "%s %s needs a client certificate of this site", r.Method, r.URL.Path))
		case !p.Is(roles...):
			api.WriteError(w, api.Errorf(api.KindForbidden, "%s %s: %s has roles %v, needs one of %v", r.Method, r.URL.Path, p.Name, p.Roles, roles))
		default:
			next(w, r)
		}
	}
}

// Source reads an identity folder and keeps up with its changes. The zero value
// with Dir set is ready to use; it is safe for many goroutines.
type Source struct {
	Dir string

	mu    sync.Mutex // guards what follows
	cert  *tls.Certificate
	stamp time.Time
}

// Node reads node.json.
func (s *Source) Node() (api.NodeIdentity, error) {
	var id api.NodeIdentity
	b, err := os.ReadFile(filepath.Join(s.Dir, FileNode))
	if err != nil {
		return id, fmt.Errorf("read node identity: %w", err)
	}
	if err := json.Unmarshal(b, &id); err != nil {
		return id, fmt.Errorf("read node identity %s: %w", FileNode, err)
	}
	return id, nil
}

// Pool reads the site's CA certificates.
func (s *Source) Pool() (*x509.CertPool, error) {
	b, err := os.ReadFile(filepath.Join(s.Dir, FileCA))
	if err != nil {
		return nil, fmt.Errorf("read site CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read site CA %s: no certificate in it", filepath.Join(s.Dir, FileCA))
	}
	return pool, nil
}

// Certificate returns the pair on disk, read again when the file has changed.
func (s *Source) Certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.Dir, FileCert)
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	if s.cert != nil && st.ModTime().Equal(s.stamp) {
		return s.cert, nil
	}
	c, err := tls.LoadX509KeyPair(path, filepath.Join(s.Dir, FileKey))
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	s.cert, s.stamp = &c, st.ModTime()
	return s.cert, nil
}

// Server returns a TLS configuration that asks for client certificates as auth
// says: RequireAndVerifyClientCert everywhere but where a token may stand in.
func (s *Source) Server(auth tls.ClientAuthType) (*tls.Config, error) {
	pool, err := s.Pool()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: auth,
		ClientCAs:  pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.Certificate()
		},
	}, nil
}

// Client returns a TLS configuration that proves this identity to servers of
// the same site.
func (s *Source) Client() (*tls.Config, error) {
	pool, err := s.Pool()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.Certificate()
		},
	}, nil
}

// HTTPClient returns a client over Client's configuration without an overall
// time limit, so that it can hold streams: callers bound each call by context.
func (s *Source) HTTPClient() (*http.Client, error) {
	cfg, err := s.Client()
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}}, nil
}
