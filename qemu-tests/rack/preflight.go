package rack

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-os/ingot/qemu-tests/vm"
)

// Preflight tells, one line each, what keeps a rack from being powered on here:
// it changes nothing.
func Preflight(c Config) error {
	if os.Geteuid() != 0 {
		return errors.New("not root: run as root, for a network namespace and a tap")
	}
	return errors.Join(needTools(c.Machines), needTun(), needMemory(c.Machines), needPort(c.Forward))
}

func needTools(machines []Machine) error {
	var errs []error
	if _, err := exec.LookPath(vm.QEMU); err != nil {
		errs = append(errs, fmt.Errorf("%s is missing: apt-get install qemu-system-x86", vm.QEMU))
	}
	has := func(f vm.Firmware) bool {
		return slices.ContainsFunc(machines, func(m Machine) bool { return m.Firmware == f })
	}
	if err := vm.FindIPXE(); err != nil && has(vm.BIOS) {
		errs = append(errs, errors.New("iPXE for QEMU is missing: apt-get install ipxe-qemu"))
	}
	if err := vm.FindOVMF(); err != nil && has(vm.UEFI) {
		errs = append(errs, errors.New("UEFI firmware is missing: apt-get install ovmf"))
	}
	return errors.Join(errs...)
}

func needTun() error {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return errors.New("/dev/net/tun is missing: modprobe tun, or give the container that device")
	}
	return nil
}

// overheadMB is what one QEMU needs beside the guest's memory.
const overheadMB = 120

func needMemory(machines []Machine) error {
	have, err := availableMB()
	if err != nil {
		return err
	}
	want := 0
	for _, m := range machines {
		want += m.MemoryMB + overheadMB
	}
	if have < want {
		return fmt.Errorf("%d machines need %d MB of memory, %d MB are available: take fewer, or give each less with NAME:ROLE:mem=512", len(machines), want, have)
	}
	return nil
}

func availableMB() (int, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("look for free memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			kb, err := strconv.Atoi(f[1])
			return kb / 1024, err
		}
	}
	return 0, errors.New("look for free memory: no MemAvailable in /proc/meminfo")
}

func needPort(address string) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return portError(address, err)
	}
	return l.Close()
}

func portError(address string, err error) error {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Errorf("%s is taken or not ours: %w (see who has it with: ss -ltnp 'sport = :%s')", address, err, port)
}
