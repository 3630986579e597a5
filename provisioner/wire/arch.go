package wire

import "github.com/insomniacslk/dhcp/iana"

// Machine kinds of option 93. RFC 4578 and IANA disagree on 7 and 9: firmware
// sends either for x64 (A10).
const (
	ArchBIOS      iana.Arch = 0
	ArchIA32      iana.Arch = 6
	ArchX64       iana.Arch = 7
	ArchX64Too    iana.Arch = 9
	ArchARM32     iana.Arch = 10
	ArchARM64     iana.Arch = 11
	ArchIA32HTTP  iana.Arch = 15
	ArchX64HTTP   iana.Arch = 16
	ArchX64EBC    iana.Arch = 17
	ArchARM32HTTP iana.Arch = 18
	ArchARM64HTTP iana.Arch = 19
	ArchBIOSHTTP  iana.Arch = 20
)

var archNames = map[iana.Arch]string{
	ArchBIOS: "bios", ArchIA32: "ia32", ArchX64: "x64", ArchX64Too: "x64",
	ArchARM32: "arm32", ArchARM64: "arm64",
	ArchIA32HTTP: "ia32", ArchX64HTTP: "x64", ArchX64EBC: "ebc", ArchARM32HTTP: "arm32",
	ArchARM64HTTP: "arm64", ArchBIOSHTTP: "bios",
	21: "arm32-uboot", 22: "arm64-uboot", 23: "arm32-uboot", 24: "arm64-uboot",
	25: "riscv32", 26: "riscv32", 27: "riscv64", 28: "riscv64", 41: "rpi",
}

// Known tells whether an architecture is in the table.
func Known(a iana.Arch) bool { _, ok := archNames[a]; return ok }

// ArchName is the processor's short name: x64, arm64, bios …
func ArchName(a iana.Arch) string {
	if n, ok := archNames[a]; ok {
		return n
	}
	return "unknown"
}
