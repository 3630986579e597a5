package site

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/provisioner/atomicfile"
)

// own reads the provisioner's certificate and key.
func (s *Site) own() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	dir := s.path(DirProvisioner)
	b, err := os.ReadFile(filepath.Join(dir, identity.FileCert))
	if err != nil {
		return nil, nil, fmt.Errorf("read own certificate: %w", err)
	}
	cert, err := pki.ParseCert(b)
	if err != nil {
		return nil, nil, err
	}
	if b, err = os.ReadFile(filepath.Join(dir, identity.FileKey)); err != nil {
		return nil, nil, fmt.Errorf("read own key: %w", err)
	}
	key, err := pki.ParseKey(b)
	return cert, key, err
}

// RenewalDue is when half of the provisioner's certificate's life is over.
func (s *Site) RenewalDue() (time.Time, error) {
	cert, _, err := s.own()
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotAfter.Add(-pki.CertLife / 2), nil
}

// RenewalRequest returns the provisioner's certificate and a request for its
// successor.
func (s *Site) RenewalRequest() (*x509.Certificate, []byte, error) {
	cert, key, err := s.own()
	if err != nil {
		return nil, nil, err
	}
	csr, err := pki.NewRequest(key, cert.Subject.CommonName)
	return cert, csr, err
}

// RenewLocally renews the provisioner's certificate with the CA key that is
// still here.
func (s *Site) RenewLocally(addr netip.Addr, now time.Time) error {
	cert, b, err := s.RenewalRequest()
	if err != nil {
		return err
	}
	csr, err := pki.ParseRequest(b)
	if err != nil {
		return err
	}
	pem, err := s.Sign(csr, cert.Subject.CommonName, []api.Role{api.RoleProvisioner}, addr, now)
	if err != nil {
		return err
	}
	return s.SetCertificate(pem)
}

// SetCertificate puts a renewed certificate in place.
func (s *Site) SetCertificate(pem []byte) error {
	if _, err := pki.ParseCert(pem); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.path(DirProvisioner), identity.FileCert), pem, 0o644)
}
