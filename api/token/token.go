// Package token is the operator's bearer token: a JSON web token (RFC 7519)
// signed with ES256 (RFC 7518 section 3.4) by the site CA's key, with the claims
// uid and exp, as DC/OS' tokens have.
//
// It refuses every other algorithm, tokens without an end, and tokens past it.
// It does not know who may do what: uid is only who speaks.
package token

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Claims are what a token says.
type Claims struct {
	UID string `json:"uid"`
	Exp int64  `json:"exp"` // seconds since 1970; NumericDate of RFC 7519
}

// header is the one header that is made and accepted.
type header struct {
	Alg string `json:"alg"`
	Typ string `json:"typ,omitempty"`
}

// half is the size of r and of s in an ES256 signature.
const half = 32

var b64 = base64.RawURLEncoding

// Mint makes a token for uid that ends ttl after now.
func Mint(key *ecdsa.PrivateKey, uid string, ttl time.Duration, now time.Time) (string, error) {
	h, err := json.Marshal(header{Alg: "ES256", Typ: "JWT"})
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	c, err := json.Marshal(Claims{UID: uid, Exp: now.Add(ttl).Unix()})
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	text := b64.EncodeToString(h) + "." + b64.EncodeToString(c)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", fmt.Errorf("mint token for %s: %w", uid, err)
	}
	sig := make([]byte, 2*half)
	r.FillBytes(sig[:half])
	s.FillBytes(sig[half:])
	return text + "." + b64.EncodeToString(sig), nil
}

// Verify reads a token, if pub's key signed it and it has not ended at now.
func Verify(pub *ecdsa.PublicKey, token string, now time.Time) (Claims, error) {
	var c Claims
	text, sig, ok := cutLast(token)
	if !ok {
		return c, errors.New("token is not a JSON web token of three parts")
	}
	head, body, _ := strings.Cut(text, ".")
	var h header
	if err := decode(head, &h); err != nil {
		return c, fmt.Errorf("token's header: %w", err)
	}
	if h.Alg != "ES256" {
		return c, fmt.Errorf("token is signed with %q, not ES256", h.Alg)
	}
	if !signed(pub, text, sig) {
		return c, errors.New("token is not signed by this site")
	}
	if err := decode(body, &c); err != nil {
		return Claims{}, fmt.Errorf("token's claims: %w", err)
	}
	if now.Unix() >= c.Exp {
		return Claims{}, fmt.Errorf("token of %q ended at %s", c.UID, time.Unix(c.Exp, 0).UTC().Format(time.RFC3339))
	}
	if c.UID == "" {
		return Claims{}, errors.New("token names no uid")
	}
	return c, nil
}

// cutLast splits a token of exactly three parts before its signature.
func cutLast(token string) (text, sig string, ok bool) {
	if strings.Count(token, ".") != 2 {
		return "", "", false
	}
	i := strings.LastIndexByte(token, '.')
	return token[:i], token[i+1:], true
}

func decode(part string, to any) error {
	b, err := b64.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

func signed(pub *ecdsa.PublicKey, text, sig string) bool {
	b, err := b64.DecodeString(sig)
	if err != nil || len(b) != 2*half {
		return false
	}
	sum := sha256.Sum256([]byte(text))
	return ecdsa.Verify(pub, sum[:], new(big.Int).SetBytes(b[:half]), new(big.Int).SetBytes(b[half:]))
}
