package rack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/child"
	"github.com/ingot-os/ingot/qemu-tests/sock"
)

const (
	graceProvisioner = 5 * time.Second
	startProvisioner = 20 * time.Second
	pollProvisioner  = 50 * time.Millisecond
	nameProvisioner  = "provisioner"
)

// startProvisioner runs the provisioner in the namespace and waits until it
// answers on its socket.
func (r *Rack) startProvisioner(ctx context.Context) error {
	log, err := os.Create(r.path(ProvisionLog))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(r.config.Program, r.config.Args...)
	cmd.Dir = r.config.Dir
	cmd.Stdout, cmd.Stderr = log, log
	if r.config.Forward != "" {
		f, err := forwardFile(r.config.Forward)
		if err != nil {
			return err
		}
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f} // becomes ForwardFD
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=forward")
	}
	if r.prov, err = child.Start(cmd, r.space); err != nil {
		return err
	}
	if err := r.remember(nameProvisioner, &r.prov.ID); err != nil {
		return err
	}
	if err := r.awaitProvisioner(ctx); err != nil {
		return err
	}
	r.work.Go(r.followProvisioner)
	r.work.Go(r.watchProvisioner)
	return nil
}

// forwardFile listens outside the namespace, for whoever inherits the file.
func forwardFile(address string) (*os.File, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, portError(address, err)
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

// awaitProvisioner asks until the provisioner answers, or ends, or is too slow.
func (r *Rack) awaitProvisioner(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startProvisioner)
	defer cancel()
	tick := time.NewTicker(pollProvisioner)
	defer tick.Stop()
	for {
		err := r.ask(ctx, "/v1/machines", func(*bufio.Scanner) {})
		if err == nil {
			return nil
		}
		select {
		case <-r.prov.Done():
			return fmt.Errorf("the provisioner ended: %s", r.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("the provisioner does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// lastWords is the last line that the provisioner logged.
func (r *Rack) lastWords() string {
	b, err := os.ReadFile(r.path(ProvisionLog))
	if b = bytes.TrimSpace(b); err != nil || len(b) == 0 {
		return fmt.Sprintf("%v, without a word", r.prov.Err())
	}
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// watchProvisioner tells when the provisioner ends while the rack runs.
func (r *Rack) watchProvisioner() {
	select {
	case <-r.ctx.Done():
	case <-r.prov.Done():
		r.mu.Lock()
		closing := r.closing
		r.mu.Unlock()
		if !closing {
			r.hub.say(Event{Kind: KindProblem, Text: "the provisioner ended: " + r.lastWords()})
		}
	}
}

// followProvisioner turns the site's records of machines into events.
func (r *Rack) followProvisioner() {
	seen := map[string]api.Machine{}
	for r.ctx.Err() == nil {
		// an error is a provisioner that restarts or has ended: watchProvisioner tells
		_ = r.ask(r.ctx, "/v1/events", func(lines *bufio.Scanner) {
			for lines.Scan() {
				var m api.Machine
				if json.Unmarshal(lines.Bytes(), &m) != nil {
					continue
				}
				for _, e := range fromSite(seen[m.Name], m) {
					r.hub.say(e)
				}
				seen[m.Name] = m
			}
		})
		select {
		case <-r.ctx.Done():
		case <-r.prov.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// freshToken asks the site for one more one-time token: a machine without a
// disk forgets its certificate with its power, and its first token is used.
func (r *Rack) freshToken(ctx context.Context, machine string) (string, error) {
	body, err := json.Marshal(map[string]string{"name": machine})
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"token"`
	}
	err = r.call(ctx, http.MethodPost, "/v1/tokens", body, func(res io.Reader) error {
		return json.NewDecoder(res).Decode(&answer)
	})
	if err != nil {
		return "", fmt.Errorf("ask the site for a token for %s: %w", machine, err)
	}
	return answer.Token, nil
}

// ask reads an answer of the provisioner's socket line by line.
func (r *Rack) ask(ctx context.Context, path string, read func(*bufio.Scanner)) error {
	return r.call(ctx, http.MethodGet, path, nil, func(res io.Reader) error {
		lines := bufio.NewScanner(res)
		lines.Buffer(nil, 1<<20)
		read(lines)
		return nil
	})
}

// call speaks to the provisioner's socket.
func (r *Rack) call(ctx context.Context, method, path string, body []byte, read func(io.Reader) error) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return sock.Dial(ctx, r.config.ProvisionerSocket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://provisioner"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return read(res.Body)
}
