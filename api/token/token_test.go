package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMintVerify(t *testing.T) {
	k, now := key(t), time.Now()
	tok, err := Mint(k, "operator", time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Verify(&k.PublicKey, tok, now)
	if err != nil || c.UID != "operator" || c.Exp != now.Add(time.Hour).Unix() {
		t.Errorf("claims %+v, %v", c, err)
	}
	if _, err := Verify(&k.PublicKey, tok, now.Add(time.Hour)); err == nil {
		t.Error("accepted at its end")
	}
	if _, err := Verify(&key(t).PublicKey, tok, now); err == nil {
		t.Error("accepted by another site")
	}
}

func part(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b64.EncodeToString(b)
}

func TestVerifyRefuses(t *testing.T) {
	k, now := key(t), time.Now()
	good, err := Mint(k, "operator", time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	p := strings.Split(good, ".")
	nobody, err := Mint(k, "", time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, tok := range map[string]string{
		"empty":          "",
		"two parts":      p[0] + "." + p[1],
		"four parts":     good + ".x",
		"no signature":   p[0] + "." + p[1] + ".",
		"alg none":       part(t, header{Alg: "none"}) + "." + p[1] + ".",
		"alg HS256":      part(t, header{Alg: "HS256"}) + "." + p[1] + "." + p[2],
		"other claims":   p[0] + "." + part(t, Claims{"root", now.Add(time.Hour).Unix()}) + "." + p[2],
		"no uid":         nobody,
		"broken base 64": "!." + p[1] + "." + p[2],
	} {
		if _, err := Verify(&k.PublicKey, tok, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good, err := Mint(k, "operator", time.Hour, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	other, err := Mint(k, "operator", -time.Hour, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(other)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := Verify(&k.PublicKey, s, time.Now()); err == nil && s != good {
			t.Errorf("accepted %q", s)
		}
	})
}
