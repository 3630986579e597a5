package pki

import (
	"crypto/ecdsa"
	"crypto/hpke"
	"crypto/x509"
	"fmt"
)

// sealInfo binds a sealed text to its one purpose (RFC 9180 section 5).
const sealInfo = "ingot site ca key"

// SealKey seals a CA key, PKCS#8 DER, to the key of a machine's request: HPKE
// base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM; the answer is
// enc || ciphertext.
func SealKey(pub *ecdsa.PublicKey, der []byte) ([]byte, error) {
	p, err := pub.ECDH()
	if err != nil {
		return nil, fmt.Errorf("seal CA key: %w", err)
	}
	to, err := hpke.NewDHKEMPublicKey(p)
	if err != nil {
		return nil, fmt.Errorf("seal CA key: %w", err)
	}
	sealed, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(sealInfo), der)
	if err != nil {
		return nil, fmt.Errorf("seal CA key: %w", err)
	}
	return sealed, nil
}

// OpenKey opens what SealKey sealed and answers the PKCS#8 DER in it.
func OpenKey(priv *ecdsa.PrivateKey, sealed []byte) ([]byte, error) {
	p, err := priv.ECDH()
	if err != nil {
		return nil, fmt.Errorf("open sealed CA key: %w", err)
	}
	k, err := hpke.NewDHKEMPrivateKey(p)
	if err != nil {
		return nil, fmt.Errorf("open sealed CA key: %w", err)
	}
	der, err := hpke.Open(k, hpke.HKDFSHA256(), hpke.AES128GCM(), []byte(sealInfo), sealed)
	if err != nil {
		return nil, fmt.Errorf("open sealed CA key: it is not sealed to this machine's key: %w", err)
	}
	return der, nil
}

// SealCA is SealKey of a key.
func SealCA(pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("seal CA key: %w", err)
	}
	return SealKey(pub, der)
}

// OpenCA is OpenKey that also checks that the key is ca's.
func OpenCA(priv *ecdsa.PrivateKey, sealed []byte, ca *x509.Certificate) (*ecdsa.PrivateKey, error) {
	der, err := OpenKey(priv, sealed)
	if err != nil {
		return nil, err
	}
	key, err := parsePKCS8(der)
	if err != nil {
		return nil, fmt.Errorf("open sealed CA key: %w", err)
	}
	if !key.PublicKey.Equal(ca.PublicKey) {
		return nil, fmt.Errorf("open sealed CA key: it is not the key of %s", ca.Subject.CommonName)
	}
	return key, nil
}
