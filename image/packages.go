package image

import "github.com/ingot-os/ingot/image/debian"

// Names of the sets of packages in the lock file.
const (
	setKernel = "kernel"
	setStub   = "stub"
	setMkfs   = "mkfs"
	setBase   = "base"
	setNginx  = "nginx"
)

// notWanted are packages that container images leave out: they are for
// installing, and nothing is installed in an image.
var notWanted = []string{
	"base-files", "debconf", "debianutils", "dpkg", "gcc-14-base", "init-system-helpers", "iproute2",
	"media-types", "tzdata", "netbase", "libsystemd0", "libdb5.3t64",
	"libsqlite3-0", "libreadline8t64", "libncursesw6", "libtinfo6", "readline-common",
}

// sets are the packages of Debian that images are made of.
var sets = []debian.Set{
	{Name: setKernel, Roots: []string{"linux-image-cloud-amd64"}, Versioned: "linux-image-"},
	{Name: setStub, Roots: []string{"systemd-boot-efi"}, Alone: true},
	{Name: setMkfs, Roots: []string{"erofs-utils"}, Except: []string{"gcc-14-base"}},
	{Name: setBase, Roots: []string{"dash", "coreutils", "sed", "grep", "python3-minimal", "libpython3.13-stdlib"}, Except: notWanted},
	{Name: setNginx, Roots: []string{"nginx"}, Except: notWanted},
}
