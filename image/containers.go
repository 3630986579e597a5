package image

import (
	"context"
	_ "embed"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image/atomicfile"
	"github.com/ingot-os/ingot/image/debian/deb"
	"github.com/ingot-os/ingot/image/oci"
	"github.com/ingot-os/ingot/image/root"
	"github.com/ingot-os/ingot/image/tree"
)

// registryHost is the name under which agents know the site registry.
const registryHost = "registry.ingot"

// hello is the example that the image hello:1 is made of.
var hello = root.Program{Path: "hello", Package: "./cmd/hello"}

//go:embed nginx.conf
var nginxConf string

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func imageFile(name string) string { return imagesDir + "/" + name + ".tar" }

func (b *build) makeHello(context.Context) (int64, bool, error) {
	f, err := manifest.Describe(filepath.Dir(b.hello), filepath.Base(b.hello))
	if err != nil {
		return 0, false, err
	}
	return b.container("hello", []string{f.SHA256}, oci.Config{Entrypoint: []string{"/hello"}, ExposedPorts: ports("8080/tcp")}, func(t *tree.Tree) error {
		return t.Copy("hello", 0o755, b.hello)
	})
}

func (b *build) makeBase(context.Context) (int64, bool, error) {
	config := oci.Config{Cmd: []string{"/bin/sh"}, Env: []string{searchPath, "LANG=C.UTF-8"}}
	return b.container("base", b.paths(setBase), config, func(t *tree.Tree) error {
		return b.userland(t, setBase)
	})
}

func (b *build) makeNginx(context.Context) (int64, bool, error) {
	config := oci.Config{
		Entrypoint: []string{"/usr/sbin/nginx", "-g", "daemon off;"}, Env: []string{searchPath},
		ExposedPorts: ports("80/tcp"), StopSignal: "SIGQUIT",
	}
	return b.container("nginx", append(b.paths(setNginx), nginxConf), config, func(t *tree.Tree) error {
		if err := b.userland(t, setNginx); err != nil {
			return err
		}
		t.Remove("etc/nginx/sites-available")
		t.Remove("etc/nginx/sites-enabled")
		t.Remove("etc/nginx/modules-available")
		return t.Text("etc/nginx/nginx.conf", nginxConf)
	})
}

func ports(names ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

// container makes the layout of one image, unless its inputs are those of before.
func (b *build) container(name string, inputs []string, config oci.Config, fill func(*tree.Tree) error) (int64, bool, error) {
	return b.once(imageFile(name), inputs, func(path string) error {
		var t tree.Tree
		if err := fill(&t); err != nil {
			return err
		}
		im := oci.Image{Name: registryHost + "/" + name + ":1", Tag: "1", Config: config, Files: &t}
		return atomicfile.Write(path, 0o644, func(w io.Writer) error { return oci.Write(w, im) })
	})
}

// userland is Debian's merged layout with the packages of a set in it.
func (b *build) userland(t *tree.Tree, set string) error {
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := t.Symlink(name, "usr/"+name); err != nil {
			return err
		}
		if err := t.Dir("usr/"+name, 0o755); err != nil {
			return err
		}
	}
	for _, p := range b.paths(set) {
		if err := deb.Unpack(p, t, wanted); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
		"etc/group":         "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	} {
		if err := t.Text(name, text); err != nil {
			return err
		}
	}
	if err := t.Dir("root", 0o700); err != nil {
		return err
	}
	for _, dir := range []string{"dev", "proc", "sys", "run", "mnt", "var/log", "var/tmp"} {
		if err := t.Dir(dir, 0o755); err != nil {
			return err
		}
	}
	return t.Dir("tmp", 0o777|fs.ModeSticky)
}

// wanted leaves out what only people and package managers read.
func wanted(name string) bool {
	for _, p := range []string{
		"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug",
		"usr/share/vim", "usr/share/apport", "usr/share/doc-base", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/systemd",
		"etc/init.d", "etc/logrotate.d", "etc/ufw", "etc/default",
	} {
		if name == p || strings.HasPrefix(name, p+"/") {
			return false
		}
	}
	return true
}
