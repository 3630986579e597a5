package store

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/pki"
)

type site struct {
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

func newSite(t *testing.T) site {
	t.Helper()
	ca, key, err := pki.NewCA("lab", time.Now())
	check(t, err)
	return site{ca, key}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s site) identity(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	key, err := pki.NewKey()
	check(t, err)
	req, err := pki.NewRequest(key, name)
	check(t, err)
	csr, err := pki.ParseRequest(req)
	check(t, err)
	cert, err := pki.Sign(s.ca, s.key, csr, name, "lab", []api.Role{api.RoleMaster}, nil, time.Now())
	check(t, err)
	pemKey, err := pki.EncodeKey(key)
	check(t, err)
	node, err := json.Marshal(api.NodeIdentity{Name: name, Address: "127.0.0.1"})
	check(t, err)
	for file, b := range map[string][]byte{identity.FileCA: pki.EncodeCert(s.ca), identity.FileCert: cert, identity.FileKey: pemKey, identity.FileNode: node} {
		check(t, os.WriteFile(filepath.Join(dir, file), b, 0o600))
	}
	return dir
}

func dial(t *testing.T, dir, address string) *clientv3.Client {
	t.Helper()
	cfg, err := (&identity.Source{Dir: dir}).Client()
	check(t, err)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + address}, TLS: cfg, Logger: zap.NewNop(), DialTimeout: 2 * time.Second})
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestKeepsDataAndDoor(t *testing.T) {
	lab, other := newSite(t), newSite(t)
	o := Options{Identity: lab.identity(t, "m1"), Data: t.TempDir(), Listen: "127.0.0.1:0"}
	s, err := Start(t.Context(), o)
	check(t, err)
	_, err = dial(t, o.Identity, s.Address()).Put(t.Context(), "/k", "v")
	check(t, err)
	began := time.Now()
	s.Close()
	t.Logf("closed in %v", time.Since(began))

	began = time.Now()
	s, err = Start(t.Context(), o)
	check(t, err)
	defer s.Close()
	t.Logf("ready again in %v", time.Since(began))
	res, err := dial(t, o.Identity, s.Address()).Get(t.Context(), "/k")
	check(t, err)
	if len(res.Kvs) != 1 || string(res.Kvs[0].Value) != "v" {
		t.Errorf("after a restart: %v", res.Kvs)
	}
	for who, dir := range map[string]string{"another node": lab.identity(t, "n2"), "another site's m1": other.identity(t, "m1")} {
		if letIn(t, dir, s.Address()) {
			t.Errorf("%s was let in", who)
		}
	}
}

func letIn(t *testing.T, dir, address string) bool {
	t.Helper()
	c := dial(t, dir, address)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Get(ctx, "/k")
	return err == nil
}

func TestLoopbackOnly(t *testing.T) {
	dir := newSite(t).identity(t, "m1")
	for _, listen := range []string{"0.0.0.0:0", ":2379", "192.0.2.1:2379", "localhost"} {
		if _, err := Start(t.Context(), Options{Identity: dir, Data: t.TempDir(), Listen: listen}); err == nil {
			t.Errorf("listens on %s", listen)
		}
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	_, err = Start(t.Context(), Options{Identity: newSite(t).identity(t, "m1"), Data: t.TempDir(), Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("on a taken port: %v", err)
	}
}
