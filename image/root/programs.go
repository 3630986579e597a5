package root

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program is a program of the image and how it is built.
type Program struct {
	Path    string // in the image
	Package string // for go build, in the repository
	Tags    string
	Cgo     bool // needs a C compiler and libseccomp, linked in statically
}

// Programs are those of the root image. The shim stays a program of its own: in
// a multi-call binary it loads every plugin of the server and fails.
var Programs = []Program{
	{Path: "sbin/initd", Package: "./cmd/initd"},
	{Path: "bin/ingotd", Package: "./cmd/ingotd"},
	{Path: "bin/ingot-engine", Package: "./cmd/ingot-engine", Tags: "no_cri,no_btrfs,no_devmapper,no_zfs,no_blockfile"},
	{Path: "bin/containerd-shim-runc-v2", Package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
	{Path: "bin/runc", Package: "github.com/opencontainers/runc", Tags: "netgo,osusergo,seccomp", Cgo: true},
}

// Compile builds the program for the image's machines, from the repository at
// repo, into the folder out, and returns the file's path. The go command's cache
// decides what there is to do.
func (p Program) Compile(ctx context.Context, repo, out string) (string, error) {
	to := filepath.Join(out, filepath.Base(p.Path))
	flags, cgo := "-s -w", "0"
	if p.Cgo {
		flags, cgo = "-s -w -extldflags -static", "1"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "-tags", p.Tags, "-ldflags", flags, p.Package)
	cmd.Dir = repo
	cmd.Env = append(os.Environ(),
		"GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED="+cgo, "GOFLAGS=-trimpath -buildvcs=false")
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("compile %s: %w%s", p.Package, err, p.reason(talk.String()))
	}
	return to, nil
}

// reason is what the compiler said, and what a missing C library means.
func (p Program) reason(talk string) string {
	talk = strings.TrimSpace(talk)
	if p.Cgo && (strings.Contains(talk, "libseccomp") || strings.Contains(talk, "seccomp.h") || strings.Contains(talk, `"gcc"`) || strings.Contains(talk, "-lseccomp")) {
		return ": install Debian's packages gcc, libc6-dev, libseccomp-dev and pkg-config"
	}
	if strings.Contains(talk, "no space left on device") {
		return ": the disk is full: free some space, or set --out, GOCACHE and TMPDIR to a larger disk"
	}
	if talk == "" {
		return ""
	}
	return ":\n" + talk
}
