package stories

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
	"github.com/ingot-os/ingot/qemu-tests/rack"
)

// forward is where `ingot up` offers the router.
const forward = "127.0.0.1:8443"

// site is a rack that `ingot up` has brought up.
type site struct {
	*testing.T
	dir     string
	traces  string // links to the rack's logs
	program string
	rack    *rack.Client
	cluster *client.Cluster
	url     string
	token   string
	tls     *tls.Config
	seen    []rack.Event // so far, in order
	events  chan rack.Event
}

// up runs `ingot up` to its end: the cluster serves hello. The rack goes with
// the test, and leaves its traces when the test failed.
func up(t *testing.T, machines string) *site {
	t.Helper()
	b := needRack(t, machines)
	s := &site{T: t, dir: filepath.Join(t.TempDir(), "rack"), traces: t.TempDir(), program: b.program, events: make(chan rack.Event, 100000)}
	s.rack = rack.Dial(s.dir)
	t.Cleanup(s.down)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, "up", "--dir", s.dir, "--rack", machines, "--image", b.image, "--app", filepath.Join("examples", "hello.json"))
	cmd.Dir = filepath.Join("..", "..")                                   // of the repository: it looks whether the image is current
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up after itself
	cmd.WaitDelay = 30 * time.Second
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	recording, stop := context.WithCancel(ctx)
	var recorder sync.WaitGroup
	recorder.Go(func() { s.record(recording) })
	err := cmd.Wait()
	stop()
	recorder.Wait()
	if err != nil {
		t.Fatalf("ingot up: %v\n%s", err, out)
	}
	t.Logf("ingot up took %.1f s\n%s", time.Since(began).Seconds(), out)
	s.open()
	go s.follow()
	return s
}

// record keeps the wire's headers from as early as the rack's daemon answers.
func (s *site) record(ctx context.Context) {
	s.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.rack.Record(ctx, "start") == nil {
			s.hold()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return // `ingot up` tells why there is no rack
		}
	}
}

// open reads how to reach the cluster.
func (s *site) open() {
	s.Helper()
	var doc struct{ URL, CA, Token string }
	b, err := os.ReadFile(filepath.Join(s.dir, "site", "site.json"))
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil {
		s.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(doc.CA)) {
		s.Fatal("no CA in site.json")
	}
	s.url, s.token = doc.URL, doc.Token
	s.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	s.cluster = client.NewCluster(client.TLS(s.url, s.tls.Clone(), s.token))
}

func (s *site) follow() {
	for e, err := range s.rack.Events(s.Context()) {
		if err != nil {
			return // the rack is down
		}
		select {
		case s.events <- e:
		case <-s.Context().Done():
			return
		}
	}
}

// await waits for an event of a machine, among those that came before too.
func (s *site) await(machine, kind string, limit time.Duration) rack.Event {
	s.Helper()
	is := func(e rack.Event) bool { return e.Machine == machine && e.Kind == kind }
	if i := slices.IndexFunc(s.seen, is); i >= 0 {
		return s.seen[i]
	}
	for deadline := time.After(limit); ; {
		select {
		case e := <-s.events:
			s.seen = append(s.seen, e)
			if is(e) {
				return e
			}
		case <-deadline:
			s.Fatalf("%s of %s never came within %s", kind, machine, limit)
		}
	}
}

// eventually asks until ok says yes, and fails with its last words after limit.
func (s *site) eventually(what string, limit time.Duration, ok func(context.Context) error) time.Duration {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), limit)
	defer cancel()
	began := time.Now()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		last := ok(ctx)
		if last == nil {
			return time.Since(began)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.Fatalf("%s: not within %s: %v", what, limit, last)
		}
	}
}

// tasks is hello's running instances, by id.
func (s *site) tasks(ctx context.Context) (map[string]api.Task, error) {
	app, err := s.cluster.App(ctx, "hello")
	if err != nil {
		return nil, err
	}
	running := map[string]api.Task{}
	for _, t := range app.Tasks {
		if t.State == api.TaskRunning {
			running[t.ID] = t
		}
	}
	return running, nil
}

// placed wants n instances, all healthy, none on a node called but.
func (s *site) placed(ctx context.Context, n int, but string) error {
	app, err := s.cluster.App(ctx, "hello")
	if err != nil {
		return err
	}
	tasks, err := s.tasks(ctx)
	if err != nil {
		return err
	}
	bad := 0
	for _, t := range tasks {
		if t.Host == but || t.Host == s.address(but) {
			bad++
		}
	}
	if len(tasks) != n || bad > 0 || app.TasksHealthy < n {
		return fmt.Errorf("%d run, %d of them on %s, %d healthy", len(tasks), bad, but, app.TasksHealthy)
	}
	return nil
}

// hosts counts the running tasks of each agent.
func (s *site) hosts(ctx context.Context) (map[string]int, error) {
	tasks, err := s.tasks(ctx)
	n := map[string]int{}
	for _, t := range tasks {
		for _, agent := range []string{"a1", "a2"} {
			if t.Host == agent || t.Host == s.address(agent) {
				n[agent]++
			}
		}
	}
	return n, err
}

// spread sees to one instance of hello on each agent: an app that was placed
// before the second agent had registered runs on the first alone, and what
// happens to a2 would tell nothing.
func (s *site) spread() {
	s.Helper()
	both := func(ctx context.Context) error {
		n, err := s.hosts(ctx)
		if err != nil {
			return err
		}
		if n["a1"] != 1 || n["a2"] != 1 {
			return fmt.Errorf("tasks by agent: %v", n)
		}
		return s.placed(ctx, 2, "")
	}
	if both(s.Context()) == nil {
		return
	}
	s.Log("hello is not on both agents, and is made again")
	definition := must(os.ReadFile(filepath.Join("..", "..", "examples", "hello.json")))(s)
	// its deployment may hold a lock for a moment longer than `ingot up` waits
	s.eventually("hello is removed", time.Minute, func(ctx context.Context) error { return s.cluster.RemoveApp(ctx, "hello", true) })
	s.eventually("hello is gone", time.Minute, func(ctx context.Context) error {
		_, err := s.cluster.App(ctx, "hello")
		if api.KindOf(err) == api.KindNotFound {
			return nil
		}
		return fmt.Errorf("it is still there: %v", err)
	})
	must(s.cluster.AddApp(s.Context(), definition))(s)
	s.eventually("hello is on both agents", 2*time.Minute, both)
}

// needTaskOn fails a chapter that would prove nothing.
func (s *site) needTaskOn(agent string) {
	s.Helper()
	if n := must(s.hosts(s.Context()))(s); n[agent] == 0 {
		s.Fatalf("no task runs on %s: %v", agent, n)
	}
}

// address of a machine of the rack.
func (s *site) address(name string) string {
	st, err := rack.Load(s.dir)
	if err != nil {
		s.Fatal(err)
	}
	for _, m := range st.Machines {
		if m.Name == name {
			return m.Address.String()
		}
	}
	return ""
}

// newsTakes is how long the scheduler may believe in tasks that are gone: two of
// an agent's reports.
const newsTakes = (2*api.HeartbeatSeconds + 1) * time.Second

// sameTasks fails unless exactly the tasks of before run, from the same start,
// for as long as bad news may take, and each of them answers afterwards.
func (s *site) sameTasks(before map[string]api.Task) {
	s.Helper()
	var since time.Time // that they are the same
	s.eventually("the same tasks run", time.Minute, func(ctx context.Context) error {
		now, err := s.tasks(ctx)
		if err == nil {
			err = same(before, now)
		}
		if err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < newsTakes {
			return errors.New("not for long enough yet")
		}
		return nil
	})
	silent := maps.Clone(before)
	s.eventually("each task answers", time.Minute, func(ctx context.Context) error {
		page, err := s.hello(ctx)
		if err != nil {
			return err
		}
		maps.DeleteFunc(silent, func(id string, _ api.Task) bool { return strings.Contains(page, id) })
		if len(silent) > 0 {
			return fmt.Errorf("%d have not answered", len(silent))
		}
		return nil
	})
}

// same says what differs between two sets of running tasks.
func same(before, now map[string]api.Task) error {
	if len(now) != len(before) {
		return fmt.Errorf("%d tasks run, %d before", len(now), len(before))
	}
	for id, was := range before {
		is, ok := now[id]
		if !ok || is.StartedAt != was.StartedAt || is.Host != was.Host {
			return fmt.Errorf("task %s on %s since %s is now %+v", id, was.Host, was.StartedAt, is)
		}
	}
	return nil
}

// hello fetches the app's page, which names the task that answers.
func (s *site) hello(ctx context.Context) (string, error) {
	body, err := s.cluster.Service(ctx, "hello", "/")
	if err != nil {
		return "", err
	}
	defer body.Close()
	page, err := io.ReadAll(body)
	return string(page), err
}

// must ends the story when a call failed.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// down ends the rack; a failed story keeps its traces first.
func (s *site) down() {
	if s.Failed() {
		s.keepTraces()
	}
	s.rack.Close()
	out, err := exec.Command(s.program, "down", "--dir", s.dir).CombinedOutput()
	if err != nil {
		s.Errorf("ingot down: %v\n%s", err, out)
	}
	if err := rack.Down(s.dir); err != nil { // whatever became of the program
		s.Error(err)
	}
}

// hold links the rack's logs to a folder of the story's own: a failed `ingot up`
// takes the rack's away.
func (s *site) hold() {
	st, err := rack.Load(s.dir)
	if err != nil {
		return // no rack, no logs
	}
	logs := map[string]string{}
	for _, f := range []string{rack.RecordingFile, rack.EventsFile, rack.ProvisionLog} {
		logs[f] = filepath.Join(s.dir, f)
	}
	for _, m := range st.Machines {
		logs[m.Name+".console.log"] = rack.ConsoleLog(s.dir, m.Name)
	}
	for name, from := range logs {
		to := filepath.Join(s.traces, name)
		if err := os.Link(from, to); err != nil && !os.IsExist(err) {
			s.Logf("hold on to %s: %v", name, err)
		}
	}
}

// keepTraces leaves what a failed story needs for reading.
func (s *site) keepTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.rack.Record(ctx, "stop"); err != nil {
		s.Logf("stop the recording: %v", err)
	}
	s.hold()
	files := map[string]string{}
	held, err := os.ReadDir(s.traces)
	if err != nil {
		s.Logf("look for logs: %v", err)
	}
	for _, f := range held {
		files[f.Name()] = filepath.Join(s.traces, f.Name())
	}
	for _, node := range s.nodes(ctx) {
		path, err := s.journal(ctx, node)
		if err != nil {
			s.Logf("journal of %s: %v", node, err)
			continue
		}
		files[node+".journal.ndjson"] = path
	}
	keep(s.T, files)
}

// nodes are the machines that are on, if there is a cluster to ask them by.
func (s *site) nodes(ctx context.Context) []string {
	st, err := s.rack.Status(ctx)
	if err != nil || s.cluster == nil {
		return nil
	}
	var on []string
	for _, m := range st.Machines {
		if m.On && len(m.Roles) > 0 {
			on = append(on, m.Name)
		}
	}
	return on
}

// journal asks a node for its journal, through the router.
func (s *site) journal(ctx context.Context, node string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	path := filepath.Join(s.traces, node+".journal")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	err = s.cluster.Node(node).Log(ctx, client.LogQuery{Lines: 2000}, func(e api.LogEntry) error { return enc.Encode(e) })
	return path, err
}

// machine is the provisioner's record of a machine, by MAC address.
func (s *site) machine(ctx context.Context, mac string) (api.Machine, error) {
	st, err := s.rack.Status(ctx)
	if err != nil {
		return api.Machine{}, err
	}
	all, err := client.NewMachines(client.Unix(st.Provisioner)).List(ctx)
	if err != nil {
		return api.Machine{}, err
	}
	for _, m := range all {
		if strings.EqualFold(m.MAC, mac) {
			return m, nil
		}
	}
	return api.Machine{}, fmt.Errorf("the provisioner knows no machine with MAC address %s", mac)
}
