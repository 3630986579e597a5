package rack

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/ingot-os/ingot/qemu-tests/child"
	"github.com/ingot-os/ingot/qemu-tests/netns"
	"github.com/ingot-os/ingot/qemu-tests/wire"
)

// Interface is the provisioner's interface in the namespace, and portSite the
// name of its port on the switch.
const (
	Interface = "tap0"
	portSite  = "provisioner"
)

// Rack is a running rack. Make one with Up.
type Rack struct {
	config Config
	space  *netns.Space
	wire   *wire.Switch
	hub    *hub
	lock   *os.File
	prov   *child.Process
	stop   context.CancelFunc // ends the goroutines of work
	ctx    context.Context    // of work
	work   sync.WaitGroup

	mu        sync.Mutex // guards what follows
	slots     map[string]*slot
	order     []string
	processes map[string]child.Ident // as in processes.json
	closing   bool
}

// Up makes the rack and powers its machines on. When it fails, or ctx ends
// meanwhile, nothing is left behind. What a killed daemon has left in the
// folder is removed first. ctx bounds the powering on only.
func Up(ctx context.Context, c Config) (*Rack, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("rack: %w", err)
	}
	l, err := lock(c.Dir)
	if err != nil {
		return nil, err
	}
	r := &Rack{config: c, lock: l, slots: map[string]*slot{}, processes: map[string]child.Ident{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	if err := r.up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("rack: %w", err), r.Close(), removeFiles(c.Dir))
	}
	return r, nil
}

func (r *Rack) up(ctx context.Context) error {
	if err := sweep(r.config.Dir); err != nil { // of a daemon that was killed
		return err
	}
	if err := r.note(); err != nil {
		return err
	}
	var err error
	if r.hub, err = newHub(r.path(EventsFile)); err != nil {
		return err
	}
	if err := r.buildNetwork(); err != nil {
		return err
	}
	if err := r.startProvisioner(ctx); err != nil {
		return err
	}
	for _, m := range powerOrder(r.config.Machines) {
		if err := r.Add(ctx, m, r.config.Tokens[m.Name]); err != nil {
			return err
		}
	}
	return r.note()
}

// buildNetwork makes switch, namespace and tap, and joins them.
func (r *Rack) buildNetwork() (err error) {
	r.wire = wire.New(r.config.Seed)
	if r.config.Record {
		if err := r.Record(true); err != nil {
			return err
		}
	}
	if r.space, err = netns.Create(spaceName(r.config.Dir)); err != nil {
		return err
	}
	tap, err := r.space.Tap(Interface, netip.PrefixFrom(Provisioner, Network.Bits()))
	if err != nil {
		return err
	}
	return r.wire.Plug(portSite, wire.TapLink(tap))
}

// snapLength keeps headers, and enough of DHCP to read it; recordLimit keeps a
// recording from filling a disk.
const (
	snapLength  = 700
	recordLimit = 256 << 20
)

// Record starts or stops writing the wire's headers to wire.pcap.
func (r *Rack) Record(on bool) error {
	if !on {
		return r.wire.StopRecording()
	}
	return r.wire.Record(r.path(RecordingFile), snapLength, recordLimit)
}

// Events yields all that has happened since power-on, then what happens, until
// ctx or the rack ends.
func (r *Rack) Events(ctx context.Context) iter.Seq[Event] { return r.hub.all(ctx) }

// Close cuts the power and takes down processes, network and namespace. The
// files stay for reading; Down removes them.
func (r *Rack) Close() error {
	r.mu.Lock()
	r.closing = true
	slots := make([]*slot, 0, len(r.slots))
	for _, s := range r.slots {
		slots = append(slots, s)
	}
	r.mu.Unlock()
	var errs []error
	for _, s := range slots {
		errs = append(errs, s.cut())
	}
	if r.prov != nil {
		errs = append(errs, r.prov.Stop(graceProvisioner))
	}
	r.stop()
	r.work.Wait()
	if r.wire != nil {
		errs = append(errs, r.wire.Close())
	}
	if r.space != nil {
		errs = append(errs, netns.Remove(r.space.Name))
	}
	if r.hub != nil {
		errs = append(errs, r.hub.close())
	}
	return errors.Join(append(errs, r.lock.Close())...)
}

// note writes rack.json.
func (r *Rack) note() error {
	me, err := child.Identify(os.Getpid())
	if err != nil {
		return err
	}
	return writeJSON(r.path(stateFile), State{
		Dir: r.config.Dir, Namespace: spaceName(r.config.Dir), Forward: r.config.Forward,
		Machines: r.Machines(), Provisioner: r.config.ProvisionerSocket, Daemon: me,
	})
}

// remember writes a process into processes.json, or takes it out.
func (r *Rack) remember(name string, id *child.Ident) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.processes, name)
	if id != nil {
		r.processes[name] = *id
	}
	return writeJSON(r.path(processFile), r.processes)
}

func (r *Rack) path(name string) string { return filepath.Join(r.config.Dir, name) }
