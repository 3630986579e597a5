package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type made struct {
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey // of the CA
	mine *ecdsa.PrivateKey
	csr  *x509.CertificateRequest
}

func setup(t *testing.T) made {
	t.Helper()
	ca, key, err := NewCA("lab", now)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRequest(mine, "ignored")
	if err != nil {
		t.Fatal(err)
	}
	csr, err := ParseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	return made{ca, key, mine, csr}
}

func TestSign(t *testing.T) {
	m := setup(t)
	b, err := Sign(m.ca, m.key, m.csr, "m1", "lab", []api.Role{api.RoleMaster, api.RoleAgent}, []net.IP{net.IPv4(10, 77, 0, 11), net.IPv4(127, 0, 0, 1)}, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCert(b)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Subject
	// One attribute with two values is a SET: it comes back in DER's order.
	if s.CommonName != "m1" || s.Organization[0] != "lab" || strings.Join(s.OrganizationalUnit, " ") != "agent master" {
		t.Errorf("subject %v", s)
	}
	if c.NotAfter.Sub(now) != CertLife || now.Sub(c.NotBefore) != Backdate || c.IsCA || len(c.IPAddresses) != 2 {
		t.Errorf("certificate from %v to %v, CA %v, addresses %v", c.NotBefore, c.NotAfter, c.IsCA, c.IPAddresses)
	}
	for _, host := range []string{"m1", "localhost", "10.77.0.11", "127.0.0.1"} {
		if err := c.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if !m.mine.PublicKey.Equal(c.PublicKey) {
		t.Error("certificate of another key")
	}
}

func TestOpensslVerifies(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl: Debian package openssl")
	}
	m := setup(t)
	b, err := Sign(m.ca, m.key, m.csr, "m1", "lab", []api.Role{api.RoleMaster}, []net.IP{net.IPv4(10, 77, 0, 11)}, now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca, leaf := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "node.crt")
	for path, b := range map[string][]byte{ca: EncodeCert(m.ca), leaf: b} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := []string{"verify", "-x509_strict", "-attime", "1795348800", "-CAfile", ca}
	for _, use := range [][]string{{"-purpose", "sslserver", "-verify_ip", "10.77.0.11"}, {"-purpose", "sslclient"}, {"-purpose", "sslserver", "-verify_hostname", "m1"}} {
		out, err := exec.Command("openssl", append(append(at, use...), leaf)...).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(": OK")) {
			t.Errorf("openssl %v: %v: %s", use, err, out)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	m := setup(t)
	forged := *m.csr
	forged.Signature = bytes.Repeat([]byte{1}, len(forged.Signature))
	for name, f := range map[string]func() error{
		"clock before the CA":      func() error { return sign(m, m.csr, "m1", now.Add(-2*time.Hour)) },
		"clock after the CA":       func() error { return sign(m, m.csr, "m1", now.Add(CALife+time.Hour)) },
		"no name":                  func() error { return sign(m, m.csr, "", now) },
		"signature does not hold":  func() error { return sign(m, &forged, "m1", now) },
		"RSA":                      func() error { return parseOf(t, rsaRequest(t)) },
		"P-384":                    func() error { return parseOf(t, p384Request(t)) },
		"no PEM":                   func() error { _, err := ParseRequest([]byte("x")); return err },
		"certificate as a request": func() error { _, err := ParseRequest(EncodeCert(m.ca)); return err },
	} {
		if f() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func sign(m made, csr *x509.CertificateRequest, name string, at time.Time) error {
	_, err := Sign(m.ca, m.key, csr, name, "lab", nil, nil, at)
	return err
}

func parseOf(t *testing.T, b []byte) error {
	t.Helper()
	_, err := ParseRequest(b)
	return err
}

func rsaRequest(t *testing.T) []byte {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRequest(k, "x")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func p384Request(t *testing.T) []byte {
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRequest(k, "x")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedCA(t *testing.T) {
	m := setup(t)
	sealed, err := SealCA(&m.mine.PublicKey, m.key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenCA(m.mine, sealed, m.ca)
	if err != nil || !got.Equal(m.key) {
		t.Errorf("opened to another key: %v", err)
	}
	if _, err := OpenCA(m.key, sealed, m.ca); err == nil {
		t.Error("opened by another key")
	}
	other := setup(t)
	if _, err := OpenCA(m.mine, sealed, other.ca); err == nil {
		t.Error("accepted as the key of another CA")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := OpenKey(m.mine, sealed); err == nil {
		t.Error("opened though changed")
	}
	if _, err := OpenKey(m.mine, nil); err == nil {
		t.Error("opened nothing")
	}
}

func TestKeyPEM(t *testing.T) {
	m := setup(t)
	b, err := EncodeKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := ParseKey(b); err != nil || !k.Equal(m.key) {
		t.Errorf("key came back as another: %v", err)
	}
	if _, err := ParseKey(EncodeCert(m.ca)); err == nil {
		t.Error("certificate read as a key")
	}
}
