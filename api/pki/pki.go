// Package pki makes a site's certificates: the site's certificate authority
// (CA), the short-lived certificates of its nodes and operators, and the sealed
// form in which the CA's key travels to the first master.
//
// It is pure: keys, requests and the time come in, DER and PEM go out; the
// provisioner signs the first master with it and the master's ca component every
// other node. It refuses keys other than ECDSA P-256, requests whose own
// signature does not hold, and to sign before the CA's own validity begins. Who
// may have which name and which roles is decided by its callers.
//
// Formats: certificates RFC 5280, requests RFC 2986 (PKCS#10), keys RFC 5208
// (PKCS#8), sealing RFC 9180 (HPKE).
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Lifetimes: a node's certificate is renewed at half of CertLife; Backdate
// forgives clocks that run a little behind the CA's.
const (
	CALife   = 10 * 365 * 24 * time.Hour
	CertLife = 24 * time.Hour
	Backdate = time.Hour
)

// PEM block types (RFC 7468).
const (
	pemCertificate = "CERTIFICATE"
	pemRequest     = "CERTIFICATE REQUEST"
	pemKey         = "PRIVATE KEY"
)

// NewKey makes a P-256 key.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewCA makes a site's CA, self-signed, its common name "SITE site CA".
func NewCA(site string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := NewKey()
	if err != nil {
		return nil, nil, fmt.Errorf("make CA key of site %q: %w", site, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: site + " site CA", Organization: []string{site}},
		NotBefore:    now.Add(-Backdate),
		NotAfter:     now.Add(CALife),
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:         true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make CA of site %q: %w", site, err)
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

// NewRequest makes a PEM certificate request: the proof that its maker holds
// the key. What it says of its maker is ignored by Sign.
func NewRequest(key crypto.Signer, name string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: der}), nil
}

// ParseRequest reads a PEM certificate request and checks that it is one of an
// ECDSA P-256 key and signed by it.
func ParseRequest(b []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemRequest {
		return nil, errors.New("read certificate request: no PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}
	return csr, checkRequest(csr)
}

func checkRequest(csr *x509.CertificateRequest) error {
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return fmt.Errorf("read certificate request: key is %s, needs ECDSA P-256", csr.PublicKeyAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("read certificate request: its signature does not hold: %w", err)
	}
	return nil
}

// Sign makes the certificate of the holder of csr's key: common name, site and
// roles in the subject; its name, localhost, 127.0.0.1 and addrs as what it may
// serve; server and client use; CertLife from now. Nothing of the request but
// its key is used. The answer is PEM.
func Sign(ca *x509.Certificate, key crypto.Signer, csr *x509.CertificateRequest, name, site string, roles []api.Role, addrs []net.IP, now time.Time) ([]byte, error) {
	if err := checkSign(ca, csr, name, now); err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject(name, site, roles),
		NotBefore:             later(now.Add(-Backdate), ca.NotBefore),
		NotAfter:              earlier(now.Add(CertLife), ca.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		DNSNames:              names(name),
		IPAddresses:           addresses(addrs),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, csr.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %q: %w", name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}), nil
}

func checkSign(ca *x509.Certificate, csr *x509.CertificateRequest, name string, now time.Time) error {
	if name == "" {
		return errors.New("sign certificate: no name")
	}
	if now.Before(ca.NotBefore) {
		return fmt.Errorf("sign certificate of %q: this machine's clock says %s, before the site CA existed (%s): set the clock",
			name, now.UTC().Format(time.RFC3339), ca.NotBefore.UTC().Format(time.RFC3339))
	}
	if now.After(ca.NotAfter) {
		return fmt.Errorf("sign certificate of %q: site CA expired at %s", name, ca.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := checkRequest(csr); err != nil {
		return fmt.Errorf("sign certificate of %q: %w", name, err)
	}
	return nil
}

func subject(name, site string, roles []api.Role) pkix.Name {
	n := pkix.Name{CommonName: name, Organization: []string{site}}
	for _, r := range roles {
		n.OrganizationalUnit = append(n.OrganizationalUnit, string(r))
	}
	return n
}

func names(name string) []string {
	if name == "localhost" {
		return []string{name}
	}
	return []string{name, "localhost"}
}

func addresses(addrs []net.IP) []net.IP {
	all := []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, a := range addrs {
		if !a.Equal(all[0]) {
			all = append(all, a)
		}
	}
	return all
}

// newSerial is 127 random bits: positive and at most 20 octets (RFC 5280 4.1.2.2).
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Pin is how a token names a CA: "sha256:HEX" of its DER (api.TokenPrefix).
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}
