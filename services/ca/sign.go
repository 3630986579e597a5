package ca

import (
	"encoding/json"
	"net"
	"net/http"
	"regexp"
	"slices"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
)

// requestLimit bounds a request's body, in bytes.
const requestLimit = 64 << 10

// label is a node's name: one label of a host name (RFC 1123 section 2.1).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// subject is whom a certificate is for.
type subject struct {
	name  string
	roles []api.Role
	addrs []net.IP
}

func (a *authority) sign(w http.ResponseWriter, r *http.Request) {
	var req api.SignRequest
	if !read(w, r, &req) {
		return
	}
	who, err := wanted(req)
	if err != nil {
		api.WriteError(w, err)
		return
	}
	a.issue(w, r, req.CSR, who)
}

// wanted checks what the provisioner asks for.
func wanted(req api.SignRequest) (subject, error) {
	s := subject{name: req.Name, roles: req.Roles}
	if !label.MatchString(req.Name) || req.Name == "localhost" {
		return s, api.Errorf(api.KindInvalid, "sign certificate: %q is no name for a node", req.Name)
	}
	if len(req.Roles) == 0 {
		return s, api.Errorf(api.KindInvalid, "sign certificate of %s: no roles", req.Name)
	}
	for _, role := range req.Roles {
		if !slices.Contains(api.NodeRoles, role) {
			return s, api.Errorf(api.KindForbidden, "sign certificate of %s: role %q is not a node's", req.Name, role)
		}
	}
	for _, text := range req.Addresses {
		ip := net.ParseIP(text)
		if ip == nil || ip.IsUnspecified() {
			return s, api.Errorf(api.KindInvalid, "sign certificate of %s: %q is no address", req.Name, text)
		}
		s.addrs = append(s.addrs, ip)
	}
	return s, nil
}

func (a *authority) renew(w http.ResponseWriter, r *http.Request) {
	var req api.RenewRequest
	if !read(w, r, &req) {
		return
	}
	old := r.TLS.VerifiedChains[0][0] // identity.Require let it through
	p := identity.FromCertificate(old)
	a.issue(w, r, req.CSR, subject{name: p.Name, roles: p.Roles, addrs: old.IPAddresses})
}

// issue signs and answers.
func (a *authority) issue(w http.ResponseWriter, r *http.Request, csrPEM string, who subject) {
	caller, _ := identity.PeerOf(r)
	csr, err := pki.ParseRequest([]byte(csrPEM))
	if err != nil {
		api.WriteError(w, api.Errorf(api.KindInvalid, "%v", err))
		return
	}
	cert, err := pki.Sign(a.cert, a.key, csr, who.name, a.site, who.roles, who.addrs, a.now())
	if err != nil {
		a.log.Printf("<3>%v", err)
		api.WriteError(w, api.Errorf(api.KindUnavailable, "%v", err))
		return
	}
	a.log.Printf("<6>certificate for %s, roles %v, asked by %s", who.name, who.roles, caller.Name)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(api.SignReply{Certificate: string(cert)}) // the caller is gone if this fails
}

// read reads a request's document, or answers why not.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, requestLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		api.WriteError(w, api.Errorf(api.KindBadRequest, "read request: %v", err))
		return false
	}
	return true
}
