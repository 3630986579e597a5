package vm

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// QEMU is the program that machines run in: Debian package qemu-system-x86.
const QEMU = "qemu-system-x86_64"

// ipxePlaces is where Debian's package ipxe-qemu has the boot code of the network
// card: in 12, in 13. QEMU finds it by itself.
var ipxePlaces = []string{"/usr/lib/ipxe/qemu/pxe-virtio.rom", "/usr/share/qemu/pxe-virtio.rom"}

// FindIPXE tells whether BIOS machines can boot over the network.
func FindIPXE() error {
	if slices.ContainsFunc(ipxePlaces, readable) {
		return nil
	}
	return fmt.Errorf("no iPXE for QEMU at %s (Debian package ipxe-qemu)", strings.Join(ipxePlaces, " or "))
}

// ovmf is UEFI firmware: code shared by all, variables copied for each machine.
type ovmf struct{ code, vars string }

// ovmfPlaces is where Debian's package ovmf has had it: 4 MB flash since 11,
// the only one in 13.
var ovmfPlaces = []ovmf{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
}

// FindOVMF tells whether UEFI firmware is installed.
func FindOVMF() error {
	_, err := findOVMF()
	return err
}

func findOVMF() (ovmf, error) {
	for _, p := range ovmfPlaces {
		if readable(p.code) && readable(p.vars) {
			return p, nil
		}
	}
	return ovmf{}, fmt.Errorf("no UEFI firmware at %s (Debian package ovmf)", ovmfPlaces[0].code)
}

func readable(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// firmware finds what the machine starts with, with variables of its own.
func (m *Machine) firmware() (ovmf, error) {
	if m.Config.Firmware != UEFI {
		return ovmf{}, nil
	}
	fw, err := findOVMF()
	if err != nil || readable(m.path(varsFile)) {
		return fw, err
	}
	return fw, copyFile(m.path(varsFile), fw.vars)
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return dst.Close()
}
