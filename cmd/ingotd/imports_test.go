package main

import (
	"os/exec"
	"strings"
	"testing"
)

// heavy are servers that ingotd must never link: their start alone costs 60 to
// 90 ms and 30 to 45 MB for each component (design section 2). They live in
// ingot-engine.
var heavy = []string{
	"go.etcd.io/etcd/server/",
	"go.etcd.io/bbolt",
	"go.etcd.io/raft/",
	"github.com/containerd/containerd/v2/cmd/",
	"github.com/containerd/containerd/v2/plugins/services/",
	"github.com/containerd/containerd/v2/plugins/snapshots/",
	"github.com/containerd/containerd/v2/plugins/cri",
	"github.com/containerd/containerd/v2/core/runtime/",
	"k8s.io/",
	"github.com/prometheus/prometheus",
}

func TestLinksNoServers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("go list -deps .: %v: needs the go command and the sources", err)
	}
	for pkg := range strings.Lines(string(out)) {
		for _, h := range heavy {
			if strings.HasPrefix(pkg, h) {
				t.Errorf("ingotd links %s", strings.TrimSpace(pkg))
			}
		}
	}
}
