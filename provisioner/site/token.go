package site

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/pki"
)

// TokenLife is how long a one-time token waits for its machine.
const TokenLife = time.Hour

// Token is a one-time token as the site keeps it: bound to one machine and its
// roles; the secret itself is not here.
type Token struct {
	ID      string     `json:"id"`
	Hash    string     `json:"sha256"` // of the secret, hex
	Machine string     `json:"machine"`
	Roles   []api.Role `json:"roles"`
	Expires time.Time  `json:"expires"`
	Used    time.Time  `json:"used,omitzero"`
	UsedBy  string     `json:"used_by,omitempty"` // address
}

func newToken(machine string, roles []api.Role, ttl time.Duration, now time.Time) (Token, string) {
	if ttl == 0 {
		ttl = TokenLife
	}
	id, secret := random(8), random(32)
	return Token{
		ID: id, Hash: hash(secret), Machine: machine, Roles: roles, Expires: now.Add(ttl).UTC(),
	}, secret
}

// random is n random bytes in hex; crypto/rand does not fail (Go 1.24).
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// handover is the form of api.TokenPrefix: ID.SECRET@PIN.
func handover(id, secret string, ca *x509.Certificate) string {
	return api.TokenPrefix + id + "." + secret + "@" + pki.Pin(ca)
}

// check holds a presented secret and the time against a token.
func (t Token) check(secret string, now time.Time) error {
	if subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(t.Hash)) != 1 {
		return api.Errorf(api.KindForbidden, "token %s is wrong", t.ID).WithHint("give the machine the token that was made for it")
	}
	if !t.Used.IsZero() {
		return api.Errorf(api.KindForbidden, "token %s of %s was used at %s by %s", t.ID, t.Machine, t.Used.Format(time.RFC3339), t.UsedBy).WithHint("a machine without disks needs a new token for each power-on")
	}
	if now.After(t.Expires) {
		return api.Errorf(api.KindForbidden, "token %s of %s ended at %s", t.ID, t.Machine, t.Expires.Format(time.RFC3339)).WithHint("make a new token for it")
	}
	return nil
}

// cut splits ID.SECRET; a pin after it belongs to the machine and is ignored.
func cut(presented string) (id, secret string, err error) {
	presented, _, _ = strings.Cut(strings.TrimPrefix(presented, api.TokenPrefix), "@")
	id, secret, ok := strings.Cut(presented, ".")
	if !ok || id == "" || secret == "" {
		return "", "", api.Errorf(api.KindForbidden, "token is not of the form ID.SECRET")
	}
	return id, secret, nil
}

// Check finds the token that was presented, without using it up. The token is
// also returned with the error once its secret was right, so that the machine
// that it belongs to can be named.
func (s *Site) Check(presented string, now time.Time) (Token, error) {
	id, secret, err := cut(presented)
	if err != nil {
		return Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.find(id)
	if t == nil {
		return Token{}, api.Errorf(api.KindForbidden, "token is unknown to this site").WithHint("give the machine a token of this site")
	}
	err = t.check(secret, now)
	if err != nil && subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(t.Hash)) != 1 {
		return Token{}, err
	}
	return *t, err
}

// Use uses a token up. It is on disk when Use returns: a crash never makes a
// token valid again.
func (s *Site) Use(id, by string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.find(id)
	if t == nil || !t.Used.IsZero() {
		return api.Errorf(api.KindForbidden, "token %s was used meanwhile", id)
	}
	old := *t
	t.Used, t.UsedBy = now.UTC(), by
	if err := s.saveTokens(); err != nil {
		*t = old
		return err
	}
	return nil
}

// NewToken makes one more token for a machine, as for one that was power-cycled.
// Earlier tokens of the machine end.
func (s *Site) NewToken(machine string, roles []api.Role, now time.Time) (string, error) {
	t, secret := newToken(machine, roles, 0, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := []Token{t}
	for _, old := range s.tokens {
		if old.Machine != machine {
			keep = append(keep, old)
		}
	}
	before := s.tokens
	s.tokens = keep
	if err := s.saveTokens(); err != nil {
		s.tokens = before
		return "", fmt.Errorf("make token for %s: %w", machine, err)
	}
	return handover(t.ID, secret, s.ca), nil
}

func (s *Site) find(id string) *Token {
	for i := range s.tokens {
		if s.tokens[i].ID == id {
			return &s.tokens[i]
		}
	}
	return nil
}
