// Package socket opens the listening sockets of socket units: ListenStream= with
// a TCP port, ADDRESS:PORT or a unix path (systemd.socket(5)). It returns bare
// descriptors, because their life is longer than any process's that uses them.
package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Options are the file system side of a unix socket, and the backlog of all.
type Options struct {
	Mode     uint32
	UID, GID int
	Backlog  int
}

// Listen opens one address.
func Listen(address string, o Options) (int, error) {
	fd, err := listen(address, o)
	if err != nil {
		return -1, fmt.Errorf("listen on %s: %w", address, err)
	}
	return fd, nil
}

func listen(address string, o Options) (int, error) {
	if strings.HasPrefix(address, "/") {
		return unixStream(address, o)
	}
	sa, family, err := parse(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	return bind(fd, sa, o.Backlog, err)
}

// parse reads PORT (both families, as systemd) or ADDRESS:PORT.
func parse(address string) (unix.Sockaddr, int, error) {
	if port, err := strconv.ParseUint(address, 10, 16); err == nil {
		if _, err := os.Stat("/proc/net/if_inet6"); err != nil { // no IPv6 in this kernel
			return &unix.SockaddrInet4{Port: int(port)}, unix.AF_INET, nil
		}
		return &unix.SockaddrInet6{Port: int(port)}, unix.AF_INET6, nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, 0, fmt.Errorf("neither a path, a port nor ADDRESS:PORT")
	}
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, unix.AF_INET, nil
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}, unix.AF_INET6, nil
}

func bind(fd int, sa unix.Sockaddr, backlog int, err error) (int, error) {
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func unixStream(path string, o Options) (int, error) {
	fd, err := unixSocket(path, unix.SOCK_STREAM, o)
	if err != nil {
		return -1, err
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Datagram opens a unix datagram socket, for sd_notify(3).
func Datagram(path string, o Options) (int, error) {
	fd, err := unixSocket(path, unix.SOCK_DGRAM, o)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

func unixSocket(path string, kind int, o Options) (int, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return -1, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	// Mode before bind: nobody connects between bind and chmod.
	if err = unix.Fchmod(fd, o.Mode); err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = os.Chmod(path, fs.FileMode(o.Mode))
	}
	if err == nil {
		err = os.Chown(path, o.UID, o.GID)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
