package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// probeOnce does one health check; its error says what is wrong.
func probeOnce(ctx context.Context, rt Runtime, a api.Alloc, ip string, hc api.HealthCheck) error {
	proto := strings.TrimPrefix(strings.ToUpper(hc.Protocol), "MESOS_")
	if proto == "COMMAND" {
		return probeCommand(ctx, rt, a.ID, hc)
	}
	at, err := target(a, ip, hc)
	if err != nil {
		return err
	}
	switch proto {
	case "HTTP", "HTTPS", "":
		return probeHTTP(ctx, proto == "HTTPS", at, hc.Path)
	case "TCP":
		return probeTCP(ctx, at)
	}
	return fmt.Errorf("protocol %s of the check is not known", hc.Protocol)
}

// target is where a check calls: the task's own address in bridge networking,
// the node's loopback in host networking.
func target(a api.Alloc, ip string, hc api.HealthCheck) (string, error) {
	host, bridged := "127.0.0.1", a.Network == "bridge" && ip != ""
	if bridged {
		host = ip
	}
	if hc.Port != nil && *hc.Port > 0 {
		return net.JoinHostPort(host, strconv.Itoa(*hc.Port)), nil
	}
	i := 0
	if hc.PortIndex != nil {
		i = *hc.PortIndex
	}
	if i < 0 || i >= len(a.Ports) {
		return "", fmt.Errorf("port index %d of the check: the app has %d ports", i, len(a.Ports))
	}
	port := a.Ports[i].Host
	if bridged {
		port = a.Ports[i].Container
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// probeHTTP wants a status of 200 to 399, as Marathon does; a redirect is an
// answer and is not followed. Certificates are not looked at: the check asks
// for life, not for identity.
func probeHTTP(ctx context.Context, secure bool, at, path string) error {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	u := scheme + "://" + at + "/" + strings.TrimPrefix(path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "ingot-agent health check")
	c := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, Proxy: nil,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // let the task finish its answer
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("GET %s: %s", u, resp.Status)
	}
	return nil
}

func probeTCP(ctx context.Context, at string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return err
	}
	return c.Close()
}

func probeCommand(ctx context.Context, rt Runtime, id string, hc api.HealthCheck) error {
	if hc.Command == nil || hc.Command.Value == "" {
		return fmt.Errorf("the check has no command")
	}
	code, err := rt.Exec(ctx, id, []string{"/bin/sh", "-c", hc.Command.Value})
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("command exited with status %d", code)
	}
	return nil
}
