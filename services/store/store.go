// Package store is the cluster's truth: one embedded etcd, started with
// `ingot-engine store --identity DIR --data DIR`.
//
// It listens on the loopback interface only and asks each client for this
// node's own certificate; a certificate of another holder, of the site or not,
// is refused. It has no peer port: one member is a whole cluster in this
// release. It owns the data folder and nothing in it: keys belong to
// services/scheduler/state.
//
// Settings (measured, design section 6): ticks of 10 ms with an election after
// 100 ms, since a single member waits for nobody and restarts in a tenth of a
// second; history is dropped after five minutes; 512 MiB at most. The unit sets
// GOMEMLIMIT.
//
// Goroutines are etcd's own; Close waits for them.
package store

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/api/serve"
)

const (
	quota        = 512 << 20
	startTimeout = 2 * time.Minute // a slow disk and a long log, emulated
)

// Options says where a store keeps its data and who it is.
type Options struct {
	Identity string // folder of the node's certificate
	Data     string
	Listen   string // loopback address and port; port 0 is any
}

// Store is a running etcd.
type Store struct {
	etcd *embed.Etcd
	log  zap.AtomicLevel
}

// Run is the component: it serves until ctx ends.
func Run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("store", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o := Options{}
	fs.StringVar(&o.Identity, "identity", identity.NodeDir, "folder of the node's certificate")
	fs.StringVar(&o.Data, "data", "/var/lib/ingot/store", "folder of the data")
	fs.StringVar(&o.Listen, "listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(api.PortStore)), "loopback address")
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	serve.Notify("READY=1")
	select {
	case err := <-s.etcd.Err():
		return fmt.Errorf("serve store: %w", err)
	case <-s.etcd.Server.StopNotify():
		return fmt.Errorf("serve store: etcd stopped by itself: see its lines above")
	case <-ctx.Done():
		serve.Notify("STOPPING=1")
		return nil
	}
}

// Start opens the data and returns once reads and writes are answered.
func Start(ctx context.Context, o Options) (*Store, error) {
	cfg, err := config(o)
	if err != nil {
		return nil, err
	}
	level := logTo(cfg)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd on %s with data in %s: %w", o.Listen, o.Data, err)
	}
	s := &Store{e, level}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-e.Server.ReadyNotify():
		return s, nil
	case err = <-e.Err():
	case <-e.Server.StopNotify():
		err = fmt.Errorf("it stopped by itself")
	case <-timeout.C:
		err = fmt.Errorf("not ready after %v", startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.Close()
	return nil, fmt.Errorf("start etcd with data in %s: %w", o.Data, err)
}

// Address is where clients are answered.
func (s *Store) Address() string { return s.etcd.Clients[0].Addr().String() }

// Close ends the store with everything on disk.
func (s *Store) Close() {
	s.log.SetLevel(zap.FatalLevel) // etcd calls each closed listener an error
	s.etcd.Close()
}

// logTo makes etcd's lines what init reads: one line each, its level in front.
func logTo(cfg *embed.Config) zap.AtomicLevel {
	level := zap.NewAtomicLevelAt(zap.WarnLevel)
	e := zapcore.EncoderConfig{
		MessageKey: "msg", LevelKey: "level", ConsoleSeparator: " ",
		EncodeLevel: func(l zapcore.Level, out zapcore.PrimitiveArrayEncoder) {
			if l >= zap.ErrorLevel {
				out.AppendString("<3>")
			} else {
				out.AppendString("<4>")
			}
		},
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(e), zapcore.Lock(os.Stderr), level)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(quiet{core}))
	return level
}

// quiet leaves out what etcd says at each first start of a healthy member.
type quiet struct{ zapcore.Core }

var expected = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true, // of many clients
	"simple token is not cryptographically signed":                                         true, // not in use: certificates are
	"Failed to detect schema version":                                                      true, // of an empty folder
	"failed to update storage version":                                                     true, // the same, tried again later
}

func (q quiet) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if expected[e.Message] {
		return to
	}
	return q.Core.Check(e, to)
}

func (q quiet) With(f []zapcore.Field) zapcore.Core { return quiet{q.Core.With(f)} }

func config(o Options) (*embed.Config, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("read address %q: %w", o.Listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen on %s: the store is for this node only, use a loopback address", o.Listen)
	}
	node, err := (&identity.Source{Dir: o.Identity}).Node()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	// etcd reserves two segments of its log at once, 64 MB each by default: memory on a
	// diskless node, and on a disk more than a cluster of this size writes in weeks.
	wal.SegmentSizeBytes = 4 << 20
	cfg := embed.NewConfig()
	cfg.Name = "ingot"
	cfg.Dir = filepath.Join(o.Data, "etcd")
	client := url.URL{Scheme: "https", Host: o.Listen}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	peers(cfg)
	secure(cfg, o.Identity, node.Name)
	tune(cfg)
	return cfg, nil
}

// peers gives the one member a name to be known by and nothing to listen on.
func peers(cfg *embed.Config) {
	self := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{self}
	cfg.InitialCluster = cfg.Name + "=" + self.String()
}

func secure(cfg *embed.Config, dir, node string) {
	t := &cfg.ClientTLSInfo
	t.CertFile = filepath.Join(dir, identity.FileCert) // read again for each handshake
	t.KeyFile = filepath.Join(dir, identity.FileKey)
	t.TrustedCAFile = filepath.Join(dir, identity.FileCA)
	t.ClientCertAuth = true
	t.AllowedCNs = []string{node}
	cfg.EnableGRPCGateway = false // a second way in that nobody uses
}

func tune(cfg *embed.Config) {
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.QuotaBackendBytes = quota
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "5m"
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = 5000, 500
	cfg.MaxSnapFiles, cfg.MaxWalFiles = 2, 2
	cfg.BackendFreelistType = "map"
}
