// Package smbios reads what Ingot needs out of a machine's SMBIOS table (DMTF
// DSP0134): UUID and serial number of the system (type 1), and the OEM strings
// (type 11), in which firmware or a hypervisor hands a machine its token.
//
// It parses bytes and does no I/O; the kernel shows the table to root as
// /sys/firmware/dmi/tables/DMI. A table that is cut off gives what came before.
package smbios

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Path is where the kernel shows the structure table.
const Path = "/sys/firmware/dmi/tables/DMI"

// Info is what was found; what is not there is empty.
type Info struct {
	Manufacturer, Product, Serial string
	UUID                          string // 8-4-4-4-12, lower case
	OEM                           []string
}

// Structure types and the size of a structure's header (DSP0134 sections 6.1.2, 7).
const (
	typeSystem = 1
	typeOEM    = 11
	typeEnd    = 127
	headerSize = 4
)

// Parse reads a structure table.
func Parse(table []byte) Info {
	var i Info
	for len(table) >= headerSize {
		size := int(table[1])
		if size < headerSize || size > len(table) {
			break
		}
		fixed := table[:size]
		list, rest, ok := cutStrings(table[size:])
		if !ok || fixed[0] == typeEnd {
			break
		}
		i.read(fixed, list)
		table = rest
	}
	return i
}

// cutStrings splits the string set behind a structure: strings that end in NUL,
// then one more NUL; an empty set is two NULs (section 6.1.3).
func cutStrings(b []byte) (list []string, rest []byte, ok bool) {
	end := bytes.Index(b, []byte{0, 0})
	if end < 0 {
		return nil, nil, false
	}
	if end > 0 {
		list = strings.Split(string(b[:end]), "\x00")
	}
	return list, b[end+2:], true
}

func (i *Info) read(fixed []byte, list []string) {
	switch fixed[0] {
	case typeSystem:
		i.Manufacturer, i.Product, i.Serial = text(fixed, list, 4), text(fixed, list, 5), text(fixed, list, 7)
		if len(fixed) >= 24 {
			i.UUID = uuid(fixed[8:24])
		}
	case typeOEM: // its strings are numbered from 1 to the count, without holes
		i.OEM = append(i.OEM, list...)
	}
}

// text is the string whose number stands at an offset; 0 is none.
func text(fixed []byte, list []string, at int) string {
	if at >= len(fixed) || fixed[at] == 0 || int(fixed[at]) > len(list) {
		return ""
	}
	return strings.TrimSpace(list[fixed[at]-1])
}

// uuid writes a UUID whose first three fields are little-endian, as they are
// from SMBIOS 2.6 (2008) on (section 7.2.1). All zeros and all ones mean none.
func uuid(b []byte) string {
	if len(bytes.Trim(b, "\x00")) == 0 || len(bytes.Trim(b, "\xff")) == 0 {
		return ""
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b),
		binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}
