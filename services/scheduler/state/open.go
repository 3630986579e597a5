package state

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ingot-os/ingot/api/identity"
)

// Timeout bounds one exchange with the store.
const Timeout = 10 * time.Second

// Open makes a client of the store at host:port, with this node's certificate.
// It does not wait for the store; the first call does.
func Open(ctx context.Context, id *identity.Source, address string) (*clientv3.Client, error) {
	cfg, err := id.Client()
	if err != nil {
		return nil, err
	}
	c, err := clientv3.New(clientv3.Config{
		Context:     ctx,
		Endpoints:   []string{"https://" + address},
		TLS:         cfg,
		DialTimeout: Timeout,
		Logger:      zap.NewNop(), // errors come back from calls: logged once, by the caller
	})
	if err != nil {
		return nil, fmt.Errorf("open store at %s: %w", address, err)
	}
	return c, nil
}
