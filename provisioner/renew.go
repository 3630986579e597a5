package provisioner

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/provisioner/enrol"
)

// retryRenewal is the pause after a renewal that did not work.
const retryRenewal = time.Minute

// renew keeps the provisioner's own certificate young until ctx ends.
func (p *provisioner) renew(ctx context.Context) error {
	for {
		wait := retryRenewal
		if due, err := p.site.RenewalDue(); err != nil {
			p.log.Error("renew own certificate", "error", err)
		} else if wait = time.Until(due); wait <= 0 {
			wait = 0
			if err := p.renewIfDue(ctx); err != nil {
				p.log.Warn("renew own certificate", "error", err)
				wait = retryRenewal
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// renewIfDue renews when half of the certificate's life is over: with the CA
// key while it is here, by the master's ca later.
func (p *provisioner) renewIfDue(ctx context.Context) error {
	due, err := p.site.RenewalDue()
	if err != nil || time.Now().Before(due) {
		return err
	}
	own := p.config.Address.Addr()
	if !p.site.Authority().Moved() {
		return p.site.RenewLocally(own, time.Now())
	}
	cert, csr, err := p.site.RenewalRequest()
	if err != nil {
		return err
	}
	if time.Now().After(cert.NotAfter) {
		return fmt.Errorf("the provisioner's certificate ended at %s, and the site CA's key is with %s: make the site anew", cert.NotAfter.Format(time.RFC3339), p.site.Authority().Holder)
	}
	return p.renewAtMaster(ctx, csr, cert, p.site.Authority().Address)
}

func (p *provisioner) renewAtMaster(ctx context.Context, csr []byte, old *x509.Certificate, master netip.Addr) error {
	client, err := p.site.Identity().HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	url := "https://" + netip.AddrPortFrom(master, api.PortCA).String() + "/v1/renew"
	pem, err := enrol.Call(ctx, client, url, api.RenewRequest{CSR: string(csr)})
	if err != nil {
		return fmt.Errorf("renew own certificate, which ends at %s: %w", old.NotAfter.Format(time.RFC3339), err)
	}
	return p.site.SetCertificate(pem)
}
