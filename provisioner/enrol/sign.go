package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/provisioner/site"
)

// signTime bounds a call of the master's ca: the machine asks again.
const signTime = 5 * time.Second

// sign makes the machine's certificate; first says that it is the master that
// is to hold the CA key.
func (s *Server) sign(ctx context.Context, req *request, t site.Token) (cert []byte, first bool, err error) {
	a := s.Site.Authority()
	switch {
	case a.Moved() && a.Holder == t.Machine:
		return nil, false, api.Errorf(api.KindForbidden, "%s held the site CA's key in memory and has started anew: the key is lost", t.Machine).WithHint("make the site anew: `make down`, `make up`")
	case a.Moved():
		cert, err = s.signAtMaster(ctx, a.Address, req, t)
		return cert, false, err
	case !isMaster(t):
		return nil, false, api.Errorf(api.KindUnavailable, "%s waits for the first master", t.Machine)
	case a.Holder != "" && a.Holder != t.Machine:
		return nil, false, api.Errorf(api.KindUnavailable, "%s waits until %s has taken the site CA's key", t.Machine, a.Holder)
	}
	cert, err = s.Site.Sign(req.csr, t.Machine, t.Roles, req.from, req.now)
	return cert, true, err
}

func (s *Server) signAtMaster(ctx context.Context, master netip.Addr, req *request, t site.Token) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	body := api.SignRequest{CSR: req.CSR, Name: t.Machine, Roles: t.Roles, Addresses: []string{req.from.String()}}
	cert, err := Call(ctx, s.Client, s.caURL(master)+"/v1/sign", body)
	if err != nil {
		return nil, api.Errorf(api.KindUnavailable, "master's ca does not answer yet: %v", err)
	}
	c, err := pki.ParseCert(cert)
	if err != nil {
		return nil, fmt.Errorf("master's ca answered: %w", err)
	}
	if pub, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(req.csr.PublicKey) {
		return nil, fmt.Errorf("master's ca answered with a certificate of another key than that of %s", t.Machine)
	}
	return cert, nil
}

func (s *Server) caURL(master netip.Addr) string {
	port := s.CAPort
	if port == 0 {
		port = api.PortCA
	}
	return "https://" + netip.AddrPortFrom(master, uint16(port)).String()
}

// Call posts a request for a certificate to the master's ca and returns the
// certificate in PEM.
func Call(ctx context.Context, c *http.Client, url string, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	d := json.NewDecoder(io.LimitReader(resp.Body, maxBody))
	if resp.StatusCode != http.StatusOK {
		var e api.Error
		if err := d.Decode(&e); err != nil || e.Message == "" {
			return nil, fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil, &e
	}
	var out api.SignReply
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", url, err)
	}
	return []byte(out.Certificate), nil
}
