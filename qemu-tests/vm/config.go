package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Firmware is what a machine starts with.
type Firmware string

// The firmwares: SeaBIOS with QEMU's iPXE in the network card's ROM, and OVMF
// that boots over HTTP.
const (
	BIOS Firmware = "bios"
	UEFI Firmware = "uefi"
)

// DefaultMemoryMB is enough for a node of any role with an image of 64 MB.
const DefaultMemoryMB = 768

// Config is one machine before it is powered on.
type Config struct {
	Name     string   // SMBIOS serial number too
	Dir      string   // its files: console.log, sockets, firmware variables
	Firmware Firmware // default BIOS
	MAC      string   // empty: no network card
	MemoryMB int      // default DefaultMemoryMB
	UUID     string   // SMBIOS type 1; empty: QEMU's
	OEM      []string // SMBIOS type 11 strings, where a token travels: given to QEMU in files, as anyone may read its command line
	RTC      string   // the clock at power-on, as 1970-01-01; default: the host's

	// Kernel, Initrd and Cmdline skip firmware and network boot (tier T2).
	Kernel, Initrd, Cmdline string

	// Wire is the unix socket of its port on the switch, default wire.sock in
	// Dir. It must be listening before Start.
	Wire string

	// OnEvent is called for each line that the node writes to its event port,
	// one at a time, from a goroutine of the machine.
	OnEvent func(Event)
}

// check fills defaults in and says what does not hold.
func (c *Config) check() error {
	switch {
	case c.Name == "":
		return errors.New("a machine needs a name")
	case c.Dir == "":
		return fmt.Errorf("machine %s: it needs a folder", c.Name)
	case c.Firmware == "":
		c.Firmware = BIOS
	case c.Firmware != BIOS && c.Firmware != UEFI:
		return fmt.Errorf("machine %s: firmware %q is not bios or uefi", c.Name, c.Firmware)
	}
	if c.MemoryMB == 0 {
		c.MemoryMB = DefaultMemoryMB
	}
	if c.Wire == "" {
		c.Wire = filepath.Join(c.Dir, "wire.sock")
	}
	return nil
}

// args is QEMU's command line, to be run in Dir: names are relative, because a
// unix socket's path holds 108 bytes.
//
// Without cx16 QEMU 7.2 does not break Debian 13's kernel (boot-lab, section 0).
func (c *Config) args(fw ovmf) []string {
	a := []string{
		"-name", quote(c.Name),
		"-machine", "q35", "-accel", "tcg,thread=multi",
		"-cpu", "max,-cx16",
		"-m", strconv.Itoa(c.MemoryMB),
		"-smp", "1",
		"-nodefaults", "-no-user-config", "-display", "none",
		"-no-reboot", // a guest's reboot is a new QEMU, so that boot media are decided again
		"-chardev", "socket,id=con,path=" + consoleSock + ",server=on,wait=off,logfile=" + ConsoleLog + ",logappend=on",
		"-serial", "chardev:con",
		"-chardev", "socket,id=qmp,path=" + qmpSock + ",server=off",
		"-mon", "chardev=qmp,mode=control",
		"-device", "virtio-rng-pci", // OVMF boots over the network only with a source of randomness
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=ev,path=" + eventsSock + ",server=off",
		"-device", "virtserialport,chardev=ev,name=" + eventPort,
		"-smbios", c.smbiosSystem(),
	}
	for i := range c.OEM {
		a = append(a, "-smbios", "type=11,path="+oemFile(i))
	}
	if c.RTC != "" {
		a = append(a, "-rtc", "base="+quote(c.RTC))
	}
	a = append(a, c.firmwareArgs(fw)...)
	a = append(a, c.networkArgs()...)
	if c.Kernel != "" {
		a = append(a, "-kernel", c.Kernel, "-initrd", c.Initrd, "-append", c.Cmdline)
	}
	return a
}

// oemFile holds the OEM string with that index, in Dir, for its owner's eyes.
func oemFile(i int) string { return "oem-" + strconv.Itoa(i) }

func (c *Config) writeOEM() error {
	for i, s := range c.OEM {
		if err := os.WriteFile(filepath.Join(c.Dir, oemFile(i)), []byte(s), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) smbiosSystem() string {
	s := "type=1,manufacturer=Ingot,product=rack,serial=" + quote(c.Name)
	if c.UUID != "" {
		s += ",uuid=" + quote(c.UUID)
	}
	return s
}

// firmwareArgs gives UEFI its code and variables and switches PXE off, which it
// would try for half a minute before HTTP.
func (c *Config) firmwareArgs(fw ovmf) []string {
	if c.Firmware != UEFI {
		return nil
	}
	return []string{
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + quote(fw.code),
		"-drive", "if=pflash,unit=1,format=raw,file=" + varsFile,
		"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n",
		"-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n",
	}
}

func (c *Config) networkArgs() []string {
	if c.MAC == "" {
		return nil
	}
	card := "virtio-net-pci,netdev=n0,mac=" + c.MAC
	if c.Kernel == "" {
		card += ",bootindex=0"
	}
	if c.Firmware == UEFI || c.Kernel != "" {
		card += ",romfile=" // no iPXE: EDK2's own drivers, or no network boot at all
	}
	return []string{
		"-netdev", "stream,id=n0,server=off,addr.type=unix,addr.path=" + quote(relative(c.Dir, c.Wire)),
		"-device", card,
	}
}

// quote protects commas in a value of QEMU's option syntax.
func quote(s string) string { return strings.ReplaceAll(s, ",", ",,") }

func relative(dir, path string) string {
	if r, err := filepath.Rel(dir, path); err == nil && len(r) < len(path) {
		return r
	}
	return path
}
