package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/initd/network"
)

// Times between two requests; see the package's table.
const (
	quickPause   = 500 * time.Millisecond
	quickFor     = 30 * time.Second
	pendingPause = 5 * time.Second
	refusedPause = 30 * time.Second
	callLimit    = 20 * time.Second
	replyLimit   = 1 << 20 // bytes of an answer
)

// candidate is a machine with the key that it wants a certificate for.
type candidate struct {
	machine
	key  *ecdsa.PrivateKey
	csr  []byte
	http *http.Client
}

func newCandidate(m machine, key *ecdsa.PrivateKey) (*candidate, error) {
	csr, err := pki.NewRequest(key, m.facts.Serial)
	if err != nil {
		return nil, err
	}
	tr := &http.Transport{TLSClientConfig: pinned(m.token.pin), TLSHandshakeTimeout: callLimit, IdleConnTimeout: time.Minute}
	return &candidate{machine: m, key: key, csr: csr, http: &http.Client{Transport: tr}}, nil
}

// admitted is a checked 200.
type admitted struct {
	node   api.NodeIdentity
	cert   []byte // PEM
	ca     *x509.Certificate
	sealed []byte
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	after  time.Duration // Retry-After
	told   api.Error
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the site answers %d: %s", r.status, r.told.Error())
}

// untilAdmitted asks without end. Each new reason is logged once.
func (e *enroller) untilAdmitted(ctx context.Context, c *candidate) (*admitted, error) {
	defer c.http.CloseIdleConnections()
	began, last, send := time.Now(), "", c.token.text
	for failures := 0; ; failures++ {
		a, err := e.once(ctx, c, send)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("enrol: %w", context.Cause(ctx))
		}
		if text := err.Error(); text != last {
			e.log.Printf("<4>not admitted yet: %s", text)
			last = text
		}
		r, _ := errors.AsType[*refusal](err)
		if r != nil && r.status == http.StatusForbidden {
			send = "" // used, wrong or ended: sending it again only fills logs
		}
		if !rest(ctx, pause(r, time.Since(began), failures)) {
			return nil, fmt.Errorf("enrol: %w", context.Cause(ctx))
		}
	}
}

// pause is how long to wait after an answer (nil: none came), by the package's
// table.
func pause(r *refusal, since time.Duration, failures int) time.Duration {
	switch {
	case r == nil:
		return min(quickPause<<min(failures, 8), pendingPause)
	case r.status == http.StatusAccepted:
		return pendingPause
	case r.status == http.StatusForbidden:
		return refusedPause
	case r.status == http.StatusServiceUnavailable && since < quickFor:
		return quickPause
	case r.status == http.StatusServiceUnavailable:
		return min(max(r.after, time.Second), refusedPause)
	}
	return pendingPause
}

// once asks once. The network is looked at each time: its lease may be new.
func (e *enroller) once(ctx context.Context, c *candidate, token string) (*admitted, error) {
	net, err := network.Load(e.run)
	if err != nil {
		return nil, err
	}
	site, err := net.SiteURL()
	if err != nil {
		return nil, err
	}
	req := api.EnrolRequest{Token: token, CSR: string(c.csr), Facts: c.facts}
	req.Facts.Address = net.Address
	if len(req.Facts.MACs) == 0 {
		req.Facts.MACs = []string{net.MAC}
	}
	var reply api.EnrolReply
	if err := post(ctx, c.http, site.JoinPath("/v1/enrol").String(), req, &reply); err != nil {
		return nil, err
	}
	if c.token.pin == "" {
		return nil, fmt.Errorf("%s admits a machine that has no token to know its site by: not believed", site.Host)
	}
	return c.check(reply)
}

// check believes nothing that does not fit the key, the pin and the rest.
func (c *candidate) check(r api.EnrolReply) (*admitted, error) {
	a := &admitted{node: r.Node, cert: []byte(r.Certificate), sealed: r.SealedCAKey}
	var err error
	if a.ca, err = pki.ParseCert([]byte(r.CA)); err != nil {
		return nil, fmt.Errorf("the site's answer: CA: %w", err)
	}
	if pin := pki.Pin(a.ca); pin != c.token.pin {
		return nil, fmt.Errorf("the site's answer has another CA (%s) than this machine's token (%s)", pin, c.token.pin)
	}
	leaf, err := pki.ParseCert(a.cert)
	if err != nil {
		return nil, fmt.Errorf("the site's answer: %w", err)
	}
	if !c.key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("the site's answer has a certificate of another key than this machine's")
	}
	if err := holds(leaf, []byte(r.CA), r.Node); err != nil {
		return nil, fmt.Errorf("the site's answer: %w", err)
	}
	return a, nil
}

// post sends a document and reads one; every status but 200 and 204 is a refusal.
func post(ctx context.Context, c *http.Client, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("POST %s: %w", url, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err // net/http names method and URL
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(io.LimitReader(resp.Body, replyLimit))
	switch {
	case err != nil:
		return fmt.Errorf("POST %s: %w", url, err)
	case resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusOK && out == nil:
		return nil
	case resp.StatusCode != http.StatusOK:
		return newRefusal(resp, b)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("POST %s: read the answer: %w", url, err)
	}
	return nil
}

func newRefusal(resp *http.Response, body []byte) *refusal {
	r := &refusal{status: resp.StatusCode}
	if json.Unmarshal(body, &r.told) != nil || r.told.Message == "" {
		r.told.Message = http.StatusText(resp.StatusCode)
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		r.after = time.Duration(min(n, 3600)) * time.Second
	}
	return r
}

// rest is false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
