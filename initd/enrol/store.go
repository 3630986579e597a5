package enrol

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/initd/atomicfile"
)

// Owners of the files, as in the root image's accounts.
var (
	components = atomicfile.Owner{UID: 0, GID: 900} // group ingot: every component
	caOwner    = atomicfile.Owner{UID: 904, GID: 900}
)

// Names of the files in the CA's folder. fileUnsaid is there as long as the site
// has not heard that this machine has the key.
const (
	fileCAKey  = "ca.key"
	fileUnsaid = "unsaid"
)

// key is the machine's key: the one of an earlier run of this boot, or a new one.
func (e *enroller) key() (*ecdsa.PrivateKey, error) {
	path := filepath.Join(e.identity, identity.FileKey)
	if b, err := os.ReadFile(path); err == nil {
		return pki.ParseKey(b)
	}
	key, err := pki.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make the machine's key: %w", err)
	}
	b, err := pki.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Dir(e.identity, 0o750, components); err != nil {
		return nil, fmt.Errorf("make identity folder: %w", err)
	}
	return key, atomicfile.Write(path, b, 0o640, components)
}

// store writes the identity, the certificate last: a certificate that is there
// means that the rest is. The CA's key goes before it, because the site gives
// it only once.
func (e *enroller) store(key *ecdsa.PrivateKey, a *admitted) error {
	if len(a.sealed) > 0 {
		if err := e.storeCA(key, a); err != nil {
			return err
		}
	}
	node, err := json.MarshalIndent(a.node, "", "  ")
	if err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{
		{identity.FileCA, pki.EncodeCert(a.ca)},
		{identity.FileNode, append(node, '\n')},
		{identity.FileCert, a.cert},
	} {
		if err := atomicfile.Write(filepath.Join(e.identity, f.name), f.b, 0o640, components); err != nil {
			return err
		}
	}
	return nil
}

// storeCA opens the sealed CA key and writes it for the ca component alone.
func (e *enroller) storeCA(key *ecdsa.PrivateKey, a *admitted) error {
	caKey, err := pki.OpenCA(key, a.sealed, a.ca)
	if err != nil {
		return err
	}
	b, err := pki.EncodeKey(caKey)
	if err != nil {
		return err
	}
	if err := atomicfile.Dir(e.ca, 0o700, caOwner); err != nil {
		return fmt.Errorf("make CA folder: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(e.ca, fileUnsaid), nil, 0o600, atomicfile.Root); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(e.ca, fileCAKey), b, 0o600, caOwner)
}
