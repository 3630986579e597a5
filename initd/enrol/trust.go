package enrol

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
)

// pinned believes a server that shows the CA whose digest is pin and a
// certificate of it with the role provisioner. The role stands for the name: the
// CA gives it to the provisioner alone, while every node has a certificate that
// may serve. Without a pin it believes anybody, and the caller must not.
func pinned(pin string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	if pin != "" {
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkServer(s.PeerCertificates, pin, time.Now()) }
	}
	return cfg
}

func checkServer(chain []*x509.Certificate, pin string, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the site shows no certificate")
	}
	i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return pki.Pin(c) == pin })
	if i < 0 {
		return fmt.Errorf("the site is not the one that this machine's token belongs to: it shows no CA certificate with %s", pin)
	}
	if err := verify(chain[0], chain[i], x509.ExtKeyUsageServerAuth, now); err != nil {
		return fmt.Errorf("the site's certificate: %w", err)
	}
	if p := identity.FromCertificate(chain[0]); !p.Is(api.RoleProvisioner) {
		return fmt.Errorf("the site's certificate is %s's, with roles %v, not a provisioner's", p.Name, p.Roles)
	}
	return nil
}

// verify checks that ca signed leaf for a use, at a time; a wrong clock is named.
func verify(leaf, ca *x509.Certificate, use x509.ExtKeyUsage, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		word := "expired at " + bad.Cert.NotAfter.UTC().Format(time.RFC3339)
		if now.Before(bad.Cert.NotBefore) {
			word = "not yet valid, it begins at " + bad.Cert.NotBefore.UTC().Format(time.RFC3339)
		}
		return fmt.Errorf("%s; this machine's clock says %s: check the time server (ingot-clock.service)", word, now.UTC().Format(time.RFC3339))
	}
	return err
}

// holds checks that a certificate is node's, good now, and of the CA in PEM.
func holds(leaf *x509.Certificate, caPEM []byte, node api.NodeIdentity) error {
	ca, err := pki.ParseCert(caPEM)
	if err != nil {
		return err
	}
	if err := verify(leaf, ca, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
		return fmt.Errorf("certificate of %s: %w", node.Name, err)
	}
	p := identity.FromCertificate(leaf)
	if p.Name != node.Name || !slices.Equal(sorted(p.Roles), sorted(node.Roles)) {
		return fmt.Errorf("certificate is of %s with roles %v, but the node is %s with roles %v", p.Name, p.Roles, node.Name, node.Roles)
	}
	return nil
}

// sorted makes roles comparable: a certificate keeps them as a set, in DER's
// order (X.690 section 11.6).
func sorted(roles []api.Role) []api.Role { return slices.Sorted(slices.Values(roles)) }
