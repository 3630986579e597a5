package enrol

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
)

func TestDue(t *testing.T) {
	z := time.Now()
	c := &x509.Certificate{NotBefore: z, NotAfter: z.Add(24 * time.Hour)}
	if due(c, z.Add(11*time.Hour)) || !due(c, z.Add(13*time.Hour)) || !due(c, z.Add(48*time.Hour)) {
		t.Error("half life is not at 12 h")
	}
}

// TestRenew enrols at a site that also renews.
func TestRenew(t *testing.T) {
	s := newSite(t, api.RoleProvisioner)
	mux, ok := s.srv.Config.Handler.(*http.ServeMux)
	if !ok {
		t.Fatal("the site's handler is no mux")
	}
	name := "n1"
	mux.HandleFunc("POST /v1/renew", identity.Require(func(w http.ResponseWriter, r *http.Request) {
		var q api.RenewRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(api.SignReply{Certificate: string(s.sign(q.CSR, name, api.RoleAgent))}); err != nil {
			t.Error(err)
		}
	}, api.RoleAgent))
	n := newNode(t, s.srv.URL, s.token())
	if err := n.run(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	read := func() *x509.Certificate {
		b, err := os.ReadFile(n.path(filepath.Join("identity", identity.FileCert)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := pki.ParseCert(b)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	u, err := url.Parse(s.srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--identity", n.path("identity"), "--port", port}
	before := read()
	if err := Renew(context.Background(), args); err != nil || !read().Equal(before) {
		t.Errorf("a fresh certificate was renewed: %v", err)
	}
	if err := Renew(context.Background(), append(args, "--force")); err != nil {
		t.Fatal(err)
	}
	after := read()
	if after.Equal(before) || after.SerialNumber.Cmp(before.SerialNumber) == 0 {
		t.Error("the certificate is the old one")
	}
	name = "somebody-else"
	if err := Renew(context.Background(), append(args, "--force")); err == nil || !read().Equal(after) {
		t.Errorf("took a certificate of another name: %v", err)
	}
}
