// Package enrol is the site's side of admission: a machine shows a one-time
// token and a request signed by its own key, and becomes a node with a
// certificate.
//
// A token is bound to one machine and its roles, ends after an hour and works
// once; the same request sent again within two minutes, as after a lost answer,
// gets the same answer. A machine that proves nothing is listed as pending with
// the reason, and never told anything secret.
//
// Who signs: until a master has said that it holds the site CA's key, the first
// master is signed here and gets the key sealed to its own; agents that come
// earlier are told to wait, their token untouched. From then on the master's ca
// signs on this server's word.
//
// Order of a request: rate, size, form, token, turn, sign, use up the token,
// answer. Secrets are never logged. It starts no goroutine: net/http calls it.
package enrol

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
	"github.com/ingot-os/ingot/provisioner/inventory"
	"github.com/ingot-os/ingot/provisioner/site"
)

// Bounds of a request.
const (
	maxBody  = 64 << 10
	maxFact  = 256
	maxMACs  = 32
	perAddr  = 5 // requests a second
	burst    = 20
	retryFor = 2 * time.Minute
)

// Server admits machines.
type Server struct {
	Site     *site.Site
	Machines *inventory.Inventory
	Address  netip.Addr   // of the provisioner, for nodes
	Client   *http.Client // speaks to the master's ca as the provisioner
	CAPort   int          // of the master's ca; 0: api.PortCA
	Log      *slog.Logger

	rate  limiter
	mu    sync.Mutex // guards what follows
	turns map[string]bool
	done  map[string]answered
}

// answered is a reply kept for a lost answer's sake.
type answered struct {
	reply api.EnrolReply
	at    time.Time
}

// Handler routes the calls.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/enrol", s.enrol)
	mux.HandleFunc("POST /v1/ca/accepted", identity.Require(s.accepted, api.RoleMaster))
	return mux
}

// TLS is the server's configuration: the provisioner's certificate with the
// CA's behind it, so that a machine that knows only the CA's digest can check
// both; a client certificate is verified where one is shown.
func TLS(src *identity.Source, ca *x509.Certificate) (*tls.Config, error) {
	cfg, err := src.Server(tls.VerifyClientCertIfGiven)
	if err != nil {
		return nil, err
	}
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := src.Certificate()
		if err != nil {
			return nil, err
		}
		chain := *c
		chain.Certificate = [][]byte{c.Certificate[0], ca.Raw}
		return &chain, nil
	}
	return cfg, nil
}

// request is an enrolment whose form is right.
type request struct {
	api.EnrolRequest
	csr  *x509.CertificateRequest
	from netip.Addr
	key  string // digest of token and public key: the same request sent again has the same
	now  time.Time
}

func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	from := remote(r)
	if !s.rate.allow(from, now) {
		writeUnavailable(w, api.Errorf(api.KindUnavailable, "too many requests from %s", from))
		return
	}
	req, err := read(w, r, from, now)
	if err != nil {
		s.Log.Warn("enrolment request does not read", "from", from, "error", err)
		api.WriteError(w, err)
		return
	}
	if req.Token == "" {
		s.pending(w, req)
		return
	}
	reply, err := s.admit(r, req)
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, reply)
	case api.KindOf(err) == api.KindUnavailable:
		s.Log.Info("enrolment waits", "from", from, "reason", err)
		writeUnavailable(w, err)
	default:
		s.refuse(req, err)
		api.WriteError(w, err)
	}
}

func read(w http.ResponseWriter, r *http.Request, from netip.Addr, now time.Time) (*request, error) {
	req := &request{from: from, now: now}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&req.EnrolRequest); err != nil {
		return nil, api.Errorf(api.KindBadRequest, "read enrolment request: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, api.Errorf(api.KindBadRequest, "read enrolment request: more than one document")
	}
	if err := checkFacts(req.Facts); err != nil {
		return nil, err
	}
	csr, err := pki.ParseRequest([]byte(req.CSR))
	if err != nil {
		return nil, api.Errorf(api.KindBadRequest, "%v", err)
	}
	req.csr = csr
	req.key = digest(req.Token, csr.RawSubjectPublicKeyInfo)
	return req, nil
}

// checkFacts bounds what a machine can make us keep.
func checkFacts(f api.MachineFacts) error {
	if len(f.MACs) > maxMACs {
		return api.Errorf(api.KindBadRequest, "read enrolment request: %d MAC addresses, at most %d", len(f.MACs), maxMACs)
	}
	for _, v := range append([]string{f.UUID, f.Serial, f.Address, f.Booted, f.Version}, f.MACs...) {
		if len(v) > maxFact {
			return api.Errorf(api.KindBadRequest, "read enrolment request: a fact of %d bytes, at most %d", len(v), maxFact)
		}
	}
	return nil
}

// pending lists a machine that shows no token.
func (s *Server) pending(w http.ResponseWriter, req *request) {
	e := api.Errorf(api.KindForbidden, "listed as pending: no token shown").WithHint("give the machine a token of this site")
	s.refuse(req, e)
	writeJSON(w, http.StatusAccepted, e)
}

// refuse lists who was refused: by the address that it speaks from; a MAC
// address in its facts is only a claim, but better than nothing.
func (s *Server) refuse(req *request, why error) {
	name := s.whoIs(req)
	s.Log.Warn("enrolment refused", "machine", name, "from", req.from, "reason", why)
	if err := s.Machines.Refused(name, why.Error(), req.Facts); err != nil {
		s.Log.Error("list machine as pending", "machine", name, "error", err)
	}
}

func (s *Server) whoIs(req *request) string {
	if m, ok := s.Machines.At(req.from); ok {
		return m.Name
	}
	for _, mac := range req.Facts.MACs {
		if m, _, ok := s.Machines.Lookup(mac, false); ok {
			return m.Name
		}
	}
	return ""
}

// admit checks the token, signs, and uses the token up.
func (s *Server) admit(r *http.Request, req *request) (api.EnrolReply, error) {
	if reply, ok := s.again(req); ok {
		s.Log.Info("enrolment answered again", "machine", reply.Node.Name, "from", req.from)
		return reply, nil
	}
	t, err := s.Site.Check(req.Token, req.now)
	if err != nil {
		return api.EnrolReply{}, err
	}
	if err := s.checkPlace(req, t); err != nil {
		return api.EnrolReply{}, err
	}
	if !s.take(t.ID) {
		return api.EnrolReply{}, api.Errorf(api.KindUnavailable, "token %s is being used right now", t.ID)
	}
	defer s.release(t.ID)
	cert, first, err := s.sign(r.Context(), req, t)
	if err != nil {
		return api.EnrolReply{}, err
	}
	if err := s.Site.Use(t.ID, req.from.String(), req.now); err != nil {
		return api.EnrolReply{}, err
	}
	if err := s.Machines.Admitted(t.Machine, req.Facts); err != nil {
		s.Log.Error("list machine as admitted", "machine", t.Machine, "error", err)
	}
	reply := s.reply(req, t, cert)
	if first {
		if reply.SealedCAKey, err = s.Site.Seal(req.csr, t.Machine, req.from); err != nil {
			return api.EnrolReply{}, err
		}
	}
	s.keep(req, reply)
	s.Log.Info("machine admitted", "machine", t.Machine, "roles", t.Roles, "address", req.from, "token", t.ID, "ca_key_sealed", first)
	return reply, nil
}

// checkPlace holds a token to its machine: it is good only from the address
// that the site leases to that machine. The token stays unused.
func (s *Server) checkPlace(req *request, t site.Token) error {
	m, ok := s.Machines.Named(t.Machine)
	if !ok {
		return api.Errorf(api.KindForbidden, "token %s is for %s, which is not among the machines of the site", t.ID, t.Machine)
	}
	if m.Address != req.from.String() {
		return api.Errorf(api.KindForbidden, "token %s is for %s at %s, shown from %s", t.ID, t.Machine, m.Address, req.from).WithHint("each machine needs its own token; if its network card changed, tell the site its MAC address")
	}
	return nil
}

func (s *Server) reply(req *request, t site.Token, cert []byte) api.EnrolReply {
	return api.EnrolReply{
		Node: api.NodeIdentity{
			Name: t.Machine, Site: s.Site.Name, Roles: t.Roles,
			Address: req.from.String(), Masters: s.Machines.Masters(),
			Provisioner: s.Address.String(),
			Registry:    netip.AddrPortFrom(s.Address, api.PortRegistry).String(),
		},
		Certificate: string(cert),
		CA:          string(pki.EncodeCert(s.Site.CA())),
	}
}

// accepted hears from the first master that it holds the CA key.
func (s *Server) accepted(w http.ResponseWriter, r *http.Request) {
	peer, _ := identity.PeerOf(r)
	holder := s.Site.Authority().Holder
	if peer.Name != holder {
		api.WriteError(w, api.Errorf(api.KindForbidden, "the site CA's key was sealed to %q, not to %s", holder, peer.Name))
		return
	}
	if err := s.Site.Accepted(time.Now()); err != nil {
		s.Log.Error("forget CA key", "error", err)
		api.WriteError(w, err)
		return
	}
	s.Log.Info("site CA's key moved, forgotten here", "holder", holder)
	w.WriteHeader(http.StatusNoContent)
}

func remote(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		api.WriteError(w, fmt.Errorf("write answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // who is gone asks again
}

func writeUnavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	api.WriteError(w, err)
}

func isMaster(t site.Token) bool { return slices.Contains(t.Roles, api.RoleMaster) }
