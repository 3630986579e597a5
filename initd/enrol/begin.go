package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/initd/network"
)

// accept tells the site, with the new certificate, that this machine has the
// CA's key; only then does the site forget its own copy. tries 0 is without end.
func (e *enroller) accept(ctx context.Context, tries int) error {
	unsaid := filepath.Join(e.ca, fileUnsaid)
	if _, err := os.Stat(unsaid); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for n := 1; ; n++ {
		err := e.acceptOnce(ctx)
		if err == nil {
			return os.Remove(unsaid)
		}
		if n == tries || ctx.Err() != nil {
			return fmt.Errorf("tell the site that the CA's key is here: %w", err)
		}
		if !rest(ctx, min(quickPause<<min(n, 8), pendingPause)) {
			return fmt.Errorf("tell the site that the CA's key is here: %w", err)
		}
	}
}

func (e *enroller) acceptOnce(ctx context.Context) error {
	n, err := network.Load(e.run)
	if err != nil {
		return err
	}
	site, err := n.SiteURL()
	if err != nil {
		return err
	}
	c, err := e.siteClient()
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	return post(ctx, c, site.JoinPath("/v1/ca/accepted").String(), struct{}{}, nil)
}

// siteClient proves the new identity to the site, known as at enrolment.
func (e *enroller) siteClient() (*http.Client, error) {
	src := &identity.Source{Dir: e.identity}
	b, err := os.ReadFile(filepath.Join(e.identity, identity.FileCA))
	if err != nil {
		return nil, fmt.Errorf("read site CA: %w", err)
	}
	ca, err := pki.ParseCert(b)
	if err != nil {
		return nil, err
	}
	cfg := pinned(pki.Pin(ca))
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return src.Certificate() }
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}, nil
}

// startRoles asks init for the target of each role. Init answers when the job
// is queued; how it goes is in the units' states, not here.
func (e *enroller) startRoles(ctx context.Context, roles []api.Role) error {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", e.socket)
	}}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	for _, r := range roles {
		if err := e.startTarget(ctx, c, r.Target()); err != nil {
			return err
		}
	}
	return nil
}

// startTarget tries for ten seconds: init's supervisor may be restarting.
func (e *enroller) startTarget(ctx context.Context, c *http.Client, unit string) error {
	for began := time.Now(); ; {
		err := post(ctx, c, "http://initd/v1/units/"+unit+"/start", struct{}{}, nil)
		if err == nil {
			return nil
		}
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			e.log.Printf("<4>start %s: init has not answered in %v and is left to it", unit, callLimit)
			return nil
		}
		_, answered := errors.AsType[*refusal](err)
		if answered || time.Since(began) > 10*time.Second || !rest(ctx, quickPause/5) {
			return fmt.Errorf("start %s: %w", unit, err)
		}
	}
}
