package root

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/ingot-os/ingot/image/tree"
)

// StageOne are the modules that mounting the root image needs, and what they
// depend on comes with them; there is no loop device in between, see boot/cmdline.
var StageOne = []string{"erofs"}

// RootPhase are the modules every node loads from the root image: network and
// disk, then containers, then address translation.
var RootPhase = []string{
	"virtio_net", "virtio_blk", "virtio_rng",
	"overlay", "bridge", "veth",
	"nft_chain_nat", "nft_nat", "nft_masq", "nft_ct", "nft_fib_ipv4",
}

// Release is /etc/ingot/release.json: what a node says it runs.
type Release struct {
	Version string    `json:"version"`
	Profile string    `json:"profile"`
	Built   time.Time `json:"built"` // no clock of a node may say less
}

// account is a user of the image; the number is part of the contract with the
// units and with what they leave on disk.
type account struct {
	name string
	uid  int
	gid  int
}

var accounts = []account{
	{"root", 0, 0},
	{"ingot-store", 901, group},
	{"ingot-scheduler", 902, group},
	{"ingot-router", 903, group},
	{"ingot-ca", 904, group},
	{"ingot-logs", 905, group},
}

// group is the number of group ingot, which may read the node's identity.
const group = 900

// Tree assembles the root image's files. programs holds the path of the compiled
// file for each program.
func Tree(r Release, k *Kernel, modules []Module, programs map[Program]string) (*tree.Tree, error) {
	t := &tree.Tree{}
	for _, dir := range []string{"dev", "proc", "sys", "run", "var", "tmp"} {
		if err := t.Dir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for p, file := range programs {
		if err := t.Copy(p.Path, 0o755, file); err != nil {
			return nil, err
		}
	}
	if err := addModules(t, k.Version, modules); err != nil {
		return nil, err
	}
	return t, addEtc(t, r)
}

func addModules(t *tree.Tree, version string, modules []Module) error {
	var load strings.Builder
	for _, m := range modules {
		file := path.Join("lib/modules", version, m.File)
		if err := t.Add(tree.Entry{Path: file, Mode: 0o644, Data: m.Data}); err != nil {
			return err
		}
		fmt.Fprintf(&load, "/%s\n", file)
	}
	return t.Text("lib/modules/load", load.String())
}

func addEtc(t *tree.Tree, r Release) error {
	release, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"etc/passwd":             passwd(),
		"etc/group":              fmt.Sprintf("root:x:0:\ningot:x:%d:\n", group),
		"etc/os-release":         r.OS(),
		"etc/hosts":              "127.0.0.1 localhost\n::1 localhost\n",
		"etc/nsswitch.conf":      "hosts: files dns\n",
		"etc/ingot/release.json": string(release) + "\n",
	} {
		if err := t.Text(name, text); err != nil {
			return err
		}
	}
	return t.Symlink("etc/resolv.conf", "/run/ingot/resolv.conf")
}

func passwd() string {
	var b strings.Builder
	for _, a := range accounts {
		fmt.Fprintf(&b, "%s:x:%d:%d::/:/nonexistent\n", a.name, a.uid, a.gid)
	}
	return b.String()
}

// OS is os-release(5) of the image, in the root and in the UKI.
func (r Release) OS() string {
	return fmt.Sprintf("ID=ingot\nNAME=Ingot\nPRETTY_NAME=%q\nVERSION_ID=%q\nVARIANT_ID=%q\n", "Ingot "+r.Version, r.Version, r.Profile)
}
