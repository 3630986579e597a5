package site

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/provisioner/atomicfile"
)

// Authority says where the CA key is. It is here until Holder has accepted it.
type Authority struct {
	Holder   string     `json:"holder,omitempty"`  // machine that the key was sealed to
	Address  netip.Addr `json:"address,omitzero"`  // of the holder
	Accepted time.Time  `json:"accepted,omitzero"` // since when only the holder has it
}

// Moved tells whether the key has left.
func (a Authority) Moved() bool { return !a.Accepted.IsZero() }

// Site is an open site.
type Site struct {
	Document
	dir string
	ca  *x509.Certificate

	mu        sync.Mutex // guards what follows and the files behind it
	key       *ecdsa.PrivateKey
	authority Authority
	tokens    []Token
}

// Open reads the site in dir.
func Open(dir string) (*Site, error) {
	s := &Site{dir: dir}
	err := s.read(FileSite, &s.Document)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open site: there is none in %s: make one first", dir)
	}
	err = errors.Join(err, s.read(fileTokens, &s.tokens))
	if e := s.read(fileAuthority, &s.authority); !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	if err == nil {
		err = s.readCA()
	}
	if err != nil {
		return nil, fmt.Errorf("open site in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Site) read(name string, into any) error {
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (s *Site) readCA() error {
	b, err := os.ReadFile(s.path(fileCACert))
	if err != nil {
		return err
	}
	if s.ca, err = pki.ParseCert(b); err != nil {
		return err
	}
	if s.authority.Moved() {
		return s.destroyKey() // again: an earlier run may have been cut off before
	}
	if b, err = os.ReadFile(s.path(fileCAKey)); err != nil {
		return err
	}
	s.key, err = pki.ParseKey(b)
	return err
}

// Inventory is the file that the list of machines is kept in.
func (s *Site) Inventory() string { return s.path(FileMachines) }

// Identity is the provisioner's own.
func (s *Site) Identity() *identity.Source {
	return &identity.Source{Dir: s.path(DirProvisioner)}
}

// CA is the site CA's certificate.
func (s *Site) CA() *x509.Certificate { return s.ca }

// Authority tells where the CA key is.
func (s *Site) Authority() Authority {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.authority
}

// Sign signs a machine's request with the local CA key; it fails once that key
// has moved.
func (s *Site) Sign(csr *x509.CertificateRequest, name string, roles []api.Role, addr netip.Addr, now time.Time) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		return nil, fmt.Errorf("sign certificate of %s: the site CA's key is with %s", name, s.authority.Holder)
	}
	return pki.Sign(s.ca, s.key, csr, name, s.Name, roles, ips([]netip.Addr{addr}), now)
}

// Seal gives the CA key, sealed to the key of its request, to the machine that
// is to hold it, and remembers which one that is.
func (s *Site) Seal(csr *x509.CertificateRequest, holder string, addr netip.Addr) ([]byte, error) {
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("seal CA key: key of the request is a %T", csr.PublicKey)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		return nil, fmt.Errorf("seal CA key: it is with %s", s.authority.Holder)
	}
	sealed, err := pki.SealCA(pub, s.key)
	if err != nil {
		return nil, err
	}
	return sealed, s.setAuthority(Authority{Holder: holder, Address: addr})
}

// Accepted forgets the CA key for good: its holder has said that it has it.
func (s *Site) Accepted(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authority.Moved() {
		return nil
	}
	a := s.authority
	a.Accepted = now.UTC()
	if err := s.setAuthority(a); err != nil {
		return err
	}
	s.key = nil
	return s.destroyKey()
}

func (s *Site) setAuthority(a Authority) error {
	if err := atomicfile.WriteJSON(s.path(fileAuthority), a, 0o600); err != nil {
		return err
	}
	s.authority = a
	return nil
}

// destroyKey overwrites the key's file and removes it. Overwriting is best
// effort: flash and copy-on-write file systems keep old blocks.
func (s *Site) destroyKey() error {
	path := s.path(fileCAKey)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("destroy CA key: %w", err)
	}
	noise := make([]byte, st.Size())
	_, _ = rand.Read(noise)
	if err := overwrite(path, noise); err != nil {
		return fmt.Errorf("destroy CA key: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("destroy CA key: %w", err)
	}
	return nil
}

func overwrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// saveTokens writes the tokens; the caller holds mu.
func (s *Site) saveTokens() error {
	return atomicfile.WriteJSON(s.path(fileTokens), s.tokens, 0o600)
}
