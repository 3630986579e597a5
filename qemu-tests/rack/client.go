package rack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/qemu-tests/sock"
)

// Client speaks to the daemon of a rack in another process.
type Client struct{ http *http.Client }

// Dial prepares a client for the rack in dir; it connects with the first call.
func Dial(dir string) *Client {
	path := filepath.Join(dir, controlSock)
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return sock.Dial(ctx, path) },
	}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status tells what the rack and its machines are.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.call(ctx, http.MethodGet, "/v1/status", nil)
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("read the rack's status: %w", err)
	}
	return s, nil
}

// Power switches a machine: action is on or cut.
func (c *Client) Power(ctx context.Context, machine, action string) error {
	return c.post(ctx, "/v1/machines/"+url.PathEscape(machine)+"/power?action="+url.QueryEscape(action), nil)
}

// Wire changes a machine's cable: action is cut or join.
func (c *Client) Wire(ctx context.Context, machine, action string) error {
	return c.post(ctx, "/v1/machines/"+url.PathEscape(machine)+"/wire?action="+url.QueryEscape(action), nil)
}

// Record starts or stops wire.pcap: action is start or stop.
func (c *Client) Record(ctx context.Context, action string) error {
	return c.post(ctx, "/v1/record?action="+url.QueryEscape(action), nil)
}

// Add puts one more machine into the rack and powers it on.
func (c *Client) Add(ctx context.Context, s Stranger) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return c.post(ctx, "/v1/machines", b)
}

// Events yields all that has happened since power-on, then what happens. It
// ends with ctx or the daemon; the error says which, nil for ctx.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		body, err := c.call(ctx, http.MethodGet, "/v1/events", nil)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer body.Close()
		dec := json.NewDecoder(body)
		for {
			var e Event
			if err := dec.Decode(&e); err != nil {
				if ctx.Err() == nil {
					yield(e, fmt.Errorf("read the rack's events: %w", err))
				}
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (c *Client) post(ctx context.Context, path string, body []byte) error {
	answer, err := c.call(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	return answer.Close()
}

func (c *Client) call(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://rack"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the rack: %w", err)
	}
	if res.StatusCode < 300 {
		return res.Body, nil
	}
	defer res.Body.Close()
	e := &api.Error{}
	if json.NewDecoder(res.Body).Decode(e) != nil || e.Message == "" {
		return nil, fmt.Errorf("ask the rack: %s %s: %s", method, path, res.Status)
	}
	return nil, e
}
