package vm

import (
	"fmt"
	"io"
	"os"
)

// Programs and files of Debian 12 and 13 that machines are made of.
const (
	QEMU    = "qemu-system-x86_64"                // package qemu-system-x86
	IPXEROM = "/usr/lib/ipxe/qemu/pxe-virtio.rom" // package ipxe-qemu
)

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
