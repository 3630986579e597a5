package router

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/token"
)

// gate decides who may come in.
type gate struct {
	ca *ecdsa.PublicKey
}

func newGate(dir string) (*gate, error) {
	path := filepath.Join(dir, identity.FileCA)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read site CA: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("read site CA %s: no certificate in it", path)
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read site CA %s: %w", path, err)
	}
	key, ok := ca.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("read site CA %s: its key is %s, not ECDSA", path, ca.PublicKeyAlgorithm)
	}
	return &gate{ca: key}, nil
}

// admit lets an operator in, by certificate or by token. A certificate of the
// site without that role is a node's: proven, and not allowed.
func (g *gate) admit(r *http.Request) error {
	peer, proven := identity.PeerOf(r)
	if proven && peer.Is(api.RoleOperator) {
		return nil
	}
	jwt, given := bearer(r.Header.Get("Authorization"))
	switch {
	case given:
		if _, err := token.Verify(g.ca, jwt, time.Now()); err != nil {
			return api.Errorf(api.KindUnauth, "%v", err).WithHint("use the token in the site folder")
		}
		return nil
	case proven:
		return api.Errorf(api.KindForbidden, "%s has roles %v, the router is for operators", peer.Name, peer.Roles)
	}
	return api.Errorf(api.KindUnauth, "%s %s needs a token or an operator's certificate", r.Method, r.URL.Path).
		WithHint(`send "Authorization: token=JWT"`)
}

// bearer takes the token out of "token=JWT" (DC/OS) or "Bearer JWT" (RFC 6750
// section 2.1).
func bearer(header string) (string, bool) {
	if t, ok := strings.CutPrefix(header, "token="); ok {
		return strings.TrimSpace(t), t != ""
	}
	scheme, t, ok := strings.Cut(header, " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(t), t != ""
	}
	return "", false
}
