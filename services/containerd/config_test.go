package containerd

import (
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func TestConfigIsTOMLWithoutNetwork(t *testing.T) {
	c := config{Root: "/var/lib/x", State: "/run/x", Level: "warn"}
	var doc struct {
		Version  int
		Root     string
		Disabled []string `toml:"disabled_plugins"`
		Plugins  map[string]map[string]any
	}
	if err := toml.Unmarshal([]byte(c.toml()), &doc); err != nil {
		t.Fatalf("read generated configuration: %v\n%s", err, c.toml())
	}
	if doc.Version != 4 || doc.Root != "/var/lib/x" {
		t.Errorf("version %d root %q", doc.Version, doc.Root)
	}
	if a := doc.Plugins["io.containerd.server.v1.grpc"]["address"]; a != "/run/x/containerd.sock" {
		t.Errorf("socket %v", a)
	}
	off := strings.Join(doc.Disabled, " ")
	for _, p := range []string{"server.v1.grpc-tcp", "server.v1.metrics", "server.v1.debug"} {
		if !strings.Contains(off, p) {
			t.Errorf("%s is not disabled", p)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string // part of the error; empty: none
	}{
		{"defaults", nil, ""},
		{"relative", []string{"--data", "x"}, "not an absolute path"},
		{"state too long for sockets", []string{"--state", "/" + strings.Repeat("x", 60)}, "longer than 40"},
		{"level", []string{"--log-level", "loud"}, "not one of"},
		{"stray word", []string{"now"}, "not a flag"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse(tc.args)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
