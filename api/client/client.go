// Package client is the Go client of Ingot's own HTTP calls: a node's API over
// its unix socket or through the router, the cluster through the router, and
// the provisioner's list of machines.
//
// Every failure that a server states comes back as *api.Error, so that callers
// branch on api.KindOf; a server that cannot be reached is an *api.Error of
// kind unavailable with the address in it. No call has a time limit of its own
// but for finding the server: bound each by its context.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
)

// Client speaks to one server. The zero value is not usable.
type Client struct {
	base  string // scheme://host, and a prefix of paths
	where string // for people
	token string
	http  *http.Client
}

// Unix returns a client of the server behind a unix socket.
func Unix(path string) *Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	return &Client{base: "http://unix", where: path, http: &http.Client{Transport: t}}
}

// TLS returns a client of the server at a URL. The token may be empty when cfg
// carries a client certificate.
func TLS(base string, cfg *tls.Config, token string) *Client {
	t := &http.Transport{
		TLSClientConfig:     cfg,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
	base = strings.TrimSuffix(base, "/")
	return &Client{base: base, where: base, token: token, http: &http.Client{Transport: t}}
}

// under returns a client of the same server that puts prefix before each path.
func (c *Client) under(prefix string) *Client {
	n := *c
	n.base += prefix
	return &n
}

// Close drops kept connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Open sends a request and returns the answer's body, to be closed, and
// headers. A status of 400 and above is an error.
func (c *Client) Open(ctx context.Context, method, path string, body any) (io.ReadCloser, http.Header, error) {
	var in io.Reader
	if body != nil {
		b, err := encode(body)
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, in)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "token="+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, nil, stated(resp)
	}
	return resp.Body, resp.Header, nil
}

func encode(body any) ([]byte, error) {
	if b, ok := body.(raw); ok {
		return b, nil
	}
	return json.Marshal(body)
}

// Do sends a request and decodes the JSON of the answer into out, if not nil.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	r, _, err := c.Open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return fmt.Errorf("%s %s: read answer: %w", method, path, err)
	}
	return nil
}

// lines decodes an NDJSON answer value by value until it ends, each fails or
// ctx is over.
func lines[T any](ctx context.Context, c *Client, path string, each func(T) error) error {
	r, _, err := c.Open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	dec := json.NewDecoder(r)
	for {
		var v T
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("read %s: %w", path, err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL: where says it shorter
	}
	return api.Errorf(api.KindUnavailable, "%s does not answer: %v", c.where, err)
}

// stated reads the error that a server states; one that states none is shown by
// the start of its answer.
func stated(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is what is shown
	e := &api.Error{}
	if json.Unmarshal(b, e) != nil || e.Message == "" {
		text := strings.TrimSpace(string(b[:min(len(b), 200)]))
		e = &api.Error{Message: strings.TrimSpace(resp.Status + " " + text)}
	}
	if e.Kind == "" {
		e.Kind = api.KindOfStatus(resp.StatusCode)
	}
	return e
}
