// Package event tells whoever watches a machine how its start goes: one line of
// JSON (api.BootEvent) per event, on the virtio-serial port api.EventPort.
//
// A port can be open only once at a time in a guest, and several processes of a
// node write to it, so each Write opens, writes and closes. A machine without
// the port, or with nobody listening, loses the event: nothing may wait for it.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
)

const ports = "/sys/class/virtio-ports"

// ErrNoPort means that the machine has no event port (yet).
var ErrNoPort = errors.New("no virtio-serial port " + api.EventPort)

// BootTime is the time since power-on that the kernel knows of (CLOCK_BOOTTIME).
func BootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // only on kernels before 2.6.39
	}
	return time.Duration(ts.Nano())
}

// Write sends one event. An event without a time gets the present one.
func Write(e api.BootEvent) error {
	if e.US == 0 {
		e.US = BootTime().Microseconds()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write boot event: %w", err)
	}
	port, err := find()
	if err != nil {
		return err
	}
	fd, err := open(port)
	if err != nil {
		return fmt.Errorf("open event port %s: %w", port, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, append(line, '\n')); err != nil {
		return fmt.Errorf("write event port %s: %w", port, err)
	}
	return nil
}

func find() (string, error) {
	names, _ := filepath.Glob(ports + "/*/name") // the pattern is well formed
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err == nil && strings.TrimSpace(string(b)) == api.EventPort {
			return "/dev/" + filepath.Base(filepath.Dir(n)), nil
		}
	}
	return "", ErrNoPort
}

// open waits up to 200 ms for another writer of this machine to close the port.
func open(port string) (int, error) {
	const tries, pause = 100, 2 * time.Millisecond
	for i := 0; ; i++ {
		fd, err := unix.Open(port, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil || i == tries || !errors.Is(err, syscall.EBUSY) {
			return fd, err
		}
		time.Sleep(pause)
	}
}
