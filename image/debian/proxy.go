package debian

import (
	"context"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
)

// transport goes through the proxy of the environment, else that of apt.
func transport(ctx context.Context) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	dump, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return t // no apt here
	}
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if u, err := http.ProxyFromEnvironment(r); u != nil || err != nil {
			return u, err
		}
		return aptProxy(string(dump), r.URL.Scheme)
	}
	return t
}

// aptProxy finds Acquire::SCHEME::Proxy "URL"; in apt-config's output; a line
// per host does not count. (apt-transport-http(1))
func aptProxy(dump, scheme string) (*url.URL, error) {
	for line := range strings.Lines(dump) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.Trim(value, `";`)
		if strings.EqualFold(key, "Acquire::"+scheme+"::Proxy") && value != "" && value != "DIRECT" {
			return url.Parse(value)
		}
	}
	return nil, nil
}
