// Package site owns a site's folder: the certificate authority while it is
// here, the operator's and the provisioner's identities, and one-time tokens.
//
//	ca/ca.crt ca/ca.key   the site CA; the key (0600) leaves for the first master
//	operator/             ca.crt node.crt node.key of the operator
//	provisioner/          the same of the provisioner, and its server's too
//	tokens.json           one-time tokens: only the SHA-256 of each secret
//	authority.json        who holds the CA key
//	machines.json         provisioner/inventory's
//	site.json             {url, ca, token}: what a client needs
//
// Order: Create once, Open in the provisioner. It refuses to create over a site
// that exists. Files that hold secrets are 0600 in folders of 0700. It starts no
// goroutine; a Site is safe for many.
package site

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/api/token"
	"github.com/ingot-os/ingot/provisioner/atomicfile"
)

// Names in a site's folder.
const (
	FileSite       = "site.json"
	DirOperator    = "operator"
	DirProvisioner = "provisioner"
	FileMachines   = "machines.json"
	fileCACert     = "ca/ca.crt"
	fileCAKey      = "ca/ca.key"
	fileTokens     = "tokens.json"
	fileAuthority  = "authority.json"
)

// OperatorLife is how long the operator's bearer token of site.json holds.
const OperatorLife = 30 * 24 * time.Hour

// Document is site.json.
type Document struct {
	Name  string `json:"name"`
	URL   string `json:"url"`   // of the router
	CA    string `json:"ca"`    // PEM
	Token string `json:"token"` // the operator's, a JSON web token
}

// Plan is what a new site is made from.
type Plan struct {
	Name     string
	Address  netip.Addr // the provisioner's
	URL      string     // of the router, for site.json
	Machines []Machine
	TokenTTL time.Duration // zero: TokenLife
	Now      time.Time     // zero: now
}

// Create makes a site in dir and returns each machine's token in the form that
// it is handed over in, api.TokenPrefix included, by name. These strings are
// kept nowhere.
func Create(dir string, p Plan) (map[string]string, error) {
	if p.Now.IsZero() {
		p.Now = time.Now()
	}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("create site: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileSite)); err == nil {
		return nil, fmt.Errorf("create site: there is one in %s already", dir)
	}
	tokens, err := create(dir, p)
	if err != nil {
		return nil, fmt.Errorf("create site in %s: %w", dir, err)
	}
	return tokens, nil
}

func (p Plan) validate() error {
	if !nameForm.MatchString(p.Name) {
		return fmt.Errorf("name %q is not lower-case letters, digits and dashes", p.Name)
	}
	if !p.Address.Is4() {
		return fmt.Errorf("provisioner's address %q is not an IPv4 address", p.Address)
	}
	return ValidateAll(p.Machines)
}

func create(dir string, p Plan) (map[string]string, error) {
	for _, d := range []string{"", "ca", DirOperator, DirProvisioner} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	ca, key, err := pki.NewCA(p.Name, p.Now)
	if err != nil {
		return nil, err
	}
	m := maker{dir: dir, plan: p, ca: ca, key: key}
	m.authority()
	m.identity(DirOperator, "operator", api.RoleOperator)
	m.identity(DirProvisioner, "provisioner", api.RoleProvisioner, p.Address)
	tokens := m.tokens()
	m.document() // last: its presence says that the rest is whole
	return tokens, m.err
}

// maker holds the first error, so that the steps read in order.
type maker struct {
	dir  string
	plan Plan
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	err  error
}

func (m *maker) write(name string, data []byte, perm os.FileMode) {
	if m.err == nil {
		m.err = atomicfile.Write(filepath.Join(m.dir, name), data, perm)
	}
}

func (m *maker) authority() {
	b, err := pki.EncodeKey(m.key)
	m.fail(err)
	m.write(fileCAKey, b, 0o600)
	m.write(fileCACert, pki.EncodeCert(m.ca), 0o644)
}

func (m *maker) identity(folder, name string, role api.Role, addrs ...netip.Addr) {
	key, err := pki.NewKey()
	m.fail(err)
	if m.err != nil {
		return
	}
	cert, err := certify(m.ca, m.key, key, name, m.plan.Name, []api.Role{role}, addrs, m.plan.Now)
	m.fail(err)
	b, err := pki.EncodeKey(key)
	m.fail(err)
	m.write(filepath.Join(folder, identity.FileCA), pki.EncodeCert(m.ca), 0o644)
	m.write(filepath.Join(folder, identity.FileKey), b, 0o600)
	m.write(filepath.Join(folder, identity.FileCert), cert, 0o644)
}

func certify(ca *x509.Certificate, caKey, key *ecdsa.PrivateKey, name, siteName string, roles []api.Role, addrs []netip.Addr, now time.Time) ([]byte, error) {
	req, err := pki.NewRequest(key, name)
	if err != nil {
		return nil, err
	}
	csr, err := pki.ParseRequest(req)
	if err != nil {
		return nil, err
	}
	return pki.Sign(ca, caKey, csr, name, siteName, roles, ips(addrs), now)
}

func ips(addrs []netip.Addr) []net.IP {
	var out []net.IP
	for _, a := range addrs {
		out = append(out, a.AsSlice())
	}
	return out
}

func (m *maker) tokens() map[string]string {
	out := map[string]string{}
	var all []Token
	for _, machine := range m.plan.Machines {
		t, secret := newToken(machine.Name, machine.Roles, m.plan.TokenTTL, m.plan.Now)
		all = append(all, t)
		out[machine.Name] = handover(t.ID, secret, m.ca)
	}
	b, err := json.MarshalIndent(all, "", "  ")
	m.fail(err)
	m.write(fileTokens, b, 0o600)
	return out
}

func (m *maker) document() {
	jwt, err := token.Mint(m.key, "operator", OperatorLife, m.plan.Now)
	m.fail(err)
	b, err := json.MarshalIndent(Document{
		Name: m.plan.Name, URL: m.plan.URL, CA: string(pki.EncodeCert(m.ca)), Token: jwt,
	}, "", "  ")
	m.fail(err)
	m.write(FileSite, append(b, '\n'), 0o600)
}

func (m *maker) fail(err error) { m.err = errors.Join(m.err, err) }
