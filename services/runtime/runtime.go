// Package runtime runs instances as containers: containerd's client, shims and
// runc below, allocations and their statuses above.
//
// It owns containerd's namespace "ingot", a sandbox folder per task under Data
// and the tasks' networks. It refuses to decide what should run; that is the
// agent's part, which drives it through an interface of its own.
//
// One task has one container, named by a digest of the task's id, so that
// containerd itself refuses a second one. What must be known when containerd is
// not there stands in the sandbox: task.json (Record) says when the task began,
// in which boot, and how it ended. Order of calls: Start; List until the status
// is terminal, or Stop; Remove. All are idempotent and safe for many goroutines,
// but one task at a time.
//
// Goroutines: one per running task ("wait"), which holds a Wait call on the
// shim's own socket and so learns of the exit while containerd is dead. They
// end with the task or with Close.
package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/dialer"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
	"github.com/ingot-os/ingot/services/runtime/bridge"
)

// Namespace of containerd that holds all of Ingot's containers.
const Namespace = "ingot"

// BaseImage is what a task without an image runs in.
const BaseImage = "registry.ingot/base:1"

// labelTask carries the task's id on its container.
const labelTask = "ingot.task"

// Config says where things are.
type Config struct {
	Data     string           // the agent's folder; sandboxes are Data/tasks/ID
	State    string           // containerd's state folder, with its socket
	Run      string           // networks' leases and namespaces: gone after a reboot
	Resolv   string           // resolv.conf for tasks
	Identity *identity.Source // proves this node to the site registry
}

// DefaultConfig is a node's.
func DefaultConfig(data string, id *identity.Source) Config {
	return Config{Data: data, State: "/run/ingot/containerd", Run: "/run/ingot", Resolv: "/run/ingot/resolv.conf", Identity: id}
}

// Runtime is a connection to containerd and what is known of its tasks.
type Runtime struct {
	cfg     Config
	client  *client.Client
	net     *bridge.Network
	limits  limits
	files   uint64 // open files of a task's process
	boot    string
	changed chan struct{}
	ctx     context.Context // of the waits
	stop    context.CancelFunc
	waits   sync.WaitGroup

	mu      sync.Mutex        // guards what follows
	waiting map[string]bool   // by container
	known   []api.AllocStatus // newest answer of containerd
	heard   bool              // containerd has answered at least once
}

// Open prepares folders and cgroups and connects; it does not need containerd
// to answer.
func Open(cfg Config) (*Runtime, error) {
	if err := prepare(cfg); err != nil {
		return nil, err
	}
	if err := log.SetLevel("warn"); err != nil { // of containerd's client
		return nil, fmt.Errorf("quieten containerd's client: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	c, err := connect(filepath.Join(cfg.State, "containerd.sock"))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(namespaces.WithNamespace(context.Background(), Namespace))
	return &Runtime{
		cfg: cfg, client: c, boot: string(boot[:36]), limits: findLimits(), files: findFiles(),
		net:     &bridge.Network{Leases: filepath.Join(cfg.Run, "net"), Netns: filepath.Join(cfg.Run, "netns")},
		changed: make(chan struct{}, 1), ctx: ctx, stop: stop, waiting: map[string]bool{},
	}, nil
}

// connect dials without waiting and dials again within a second after a
// restart of containerd; the client's own default backs off to ten.
func connect(socket string) (*client.Client, error) {
	params := grpc.ConnectParams{MinConnectTimeout: 5 * time.Second, Backoff: backoff.Config{
		BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
	}}
	c, err := client.New(socket, client.WithDefaultNamespace(Namespace), client.WithDialOpts([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(params),
		grpc.WithContextDialer(dialer.ContextDialer),
	}))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", socket, err)
	}
	return c, nil
}

// Close ends the waits; containers run on.
func (r *Runtime) Close() error {
	r.stop()
	r.waits.Wait()
	return r.client.Close()
}

// Changed receives when a task may have a new status. It is a hint: hints fold
// into one.
func (r *Runtime) Changed() <-chan struct{} { return r.changed }

func (r *Runtime) hint() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// containerID is the task's name in containerd, which allows fewer characters
// and less length than Marathon's task ids.
func containerID(task string) string {
	return fmt.Sprintf("t%x", sha256.Sum256([]byte(task)))[:33]
}

func (r *Runtime) namespaced(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, Namespace)
}

// prepare makes the folders, and the cgroup that shims move to: in containerd's
// own they would die with it.
func prepare(cfg Config) error {
	if err := os.MkdirAll(filepath.Join(cfg.Data, "tasks"), 0o750); err != nil {
		return fmt.Errorf("make folder of tasks: %w", err)
	}
	for _, d := range []string{cfg.Data, filepath.Join(cfg.Data, "tasks")} {
		if err := readableByGroup(d, 0o750); err != nil {
			return err
		}
	}
	if !unified() {
		return nil
	}
	if err := os.Mkdir(filepath.Join(cgroupRoot, shimCgroup), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make cgroup for shims: %w", err)
	}
	return nil
}
