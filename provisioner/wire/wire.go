// Package wire reads what a DHCP client says into plain facts, and writes a
// reply into bytes that old boot ROMs read.
//
// It owns the packet's shape and nothing of its meaning: which answer a client
// gets is provisioner/policy's. It refuses packets that are no BOOTREQUEST over
// Ethernet; everything else it reads as far as it can, because firmware sends
// garbage options and must be answered all the same (A9 of the firmware list).
// Pure: bytes in, bytes out. Codec: insomniacslk/dhcp, RFC 2131, 2132, 4578, 3004.
package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Sizes of the fixed part of a packet (RFC 2131 section 2).
const (
	fixedSize = 236
	fileSize  = 128
	minSize   = 300 // RFC 1542 section 2.1: some relays drop less
	// DefaultMax is what every client accepts: 576 bytes of IP datagram less
	// the IP and UDP headers (RFC 2131 section 2, RFC 2132 section 9.10).
	DefaultMax = 548
)

var cookie = [4]byte{99, 130, 83, 99}

// Parse reads a request. Options are read up to the first one that runs over
// the packet's end; the rest is dropped.
func Parse(b []byte) (*dhcpv4.DHCPv4, error) {
	if len(b) < fixedSize+len(cookie) {
		return nil, fmt.Errorf("read DHCP packet: %d bytes, needs %d", len(b), fixedSize+len(cookie))
	}
	p, err := dhcpv4.FromBytes(whole(b))
	if err != nil {
		return nil, fmt.Errorf("read DHCP packet: %w", err)
	}
	if p.OpCode != dhcpv4.OpcodeBootRequest {
		return nil, fmt.Errorf("read DHCP packet: opcode %d is no request", p.OpCode)
	}
	if p.HWType != iana.HWTypeEthernet || len(p.ClientHWAddr) != 6 {
		return nil, fmt.Errorf("read DHCP packet: hardware type %s, address of %d bytes, needs Ethernet", p.HWType, len(p.ClientHWAddr))
	}
	return p, nil
}

// whole returns b cut after its last whole option, ended properly.
func whole(b []byte) []byte {
	at := fixedSize + len(cookie)
	for at < len(b) && b[at] != byte(dhcpv4.OptionEnd.Code()) {
		if b[at] == byte(dhcpv4.OptionPad.Code()) {
			at++
			continue
		}
		if at+1 >= len(b) || at+2+int(b[at+1]) > len(b) {
			break
		}
		at += 2 + int(b[at+1])
	}
	return append(b[:at:at], byte(dhcpv4.OptionEnd.Code()))
}

// Reply is what goes back, besides what every reply copies from its request.
type Reply struct {
	Type    dhcpv4.MessageType
	YourIP  [4]byte // zero: none is given
	NextIP  [4]byte // siaddr: where the boot file is
	File    string  // boot file: header field and option 67
	Options dhcpv4.Options
}

// order of options (A13): what clients must see first comes first. Codes that
// are not named follow in rising order; 82 is last (RFC 3046 section 2.2).
var order = []uint8{53, 54, 51, 1, 3, 6, 12, 42, 58, 59, 67, 60, 43, 97, 175, 224}

// Append appends the reply to a request to b.
func Append(b []byte, req *dhcpv4.DHCPv4, r Reply) []byte {
	start := len(b)
	b = appendHeader(b, req, r)
	o := options(req, r)
	for _, code := range order {
		b = appendOption(b, o, code)
	}
	for code := range 255 {
		if code != optRelayInfo {
			b = appendOption(b, o, uint8(code))
		}
	}
	b = appendOption(b, o, optRelayInfo)
	b = append(b, 255)
	for len(b)-start < minSize {
		b = append(b, 0)
	}
	return b
}

func appendHeader(b []byte, req *dhcpv4.DHCPv4, r Reply) []byte {
	b = append(b, byte(dhcpv4.OpcodeBootReply), byte(iana.HWTypeEthernet), 6, 0)
	b = append(b, req.TransactionID[:]...)
	b = binary.BigEndian.AppendUint16(b, 0) // secs is the client's (iPXE abuses it)
	b = binary.BigEndian.AppendUint16(b, req.Flags)
	b = appendIP(b, req.ClientIPAddr, r.Type)
	b = append(b, r.YourIP[:]...)
	b = append(b, r.NextIP[:]...)
	b = append(b, four(req.GatewayIPAddr)...)
	var hw [16]byte
	copy(hw[:], req.ClientHWAddr)
	b = append(b, hw[:]...)
	b = append(b, make([]byte, 64)...) // sname
	var file [fileSize]byte
	if len(r.File) < fileSize { // room for the NUL; A26: longer goes in option 67 only
		copy(file[:], r.File)
	}
	b = append(b, file[:]...)
	return append(b, cookie[:]...)
}

// appendIP writes ciaddr: copied, but in a NAK (RFC 2131 table 3).
func appendIP(b []byte, ip []byte, t dhcpv4.MessageType) []byte {
	if t == dhcpv4.MessageTypeNak {
		return append(b, 0, 0, 0, 0)
	}
	return append(b, four(ip)...)
}

func four(ip []byte) []byte {
	switch len(ip) {
	case 4:
		return ip
	case 16:
		return ip[12:]
	}
	return []byte{0, 0, 0, 0}
}

const (
	optBootfile  = 67
	optRelayInfo = 82
)

func options(req *dhcpv4.DHCPv4, r Reply) dhcpv4.Options {
	o := make(dhcpv4.Options, len(r.Options)+3)
	for k, v := range r.Options {
		o[k] = v
	}
	o[53] = []byte{byte(r.Type)}
	if r.File != "" {
		o[optBootfile] = []byte(r.File)
	}
	if v, ok := req.Options[optRelayInfo]; ok { // A6: back unchanged
		o[optRelayInfo] = v
	}
	return o
}

// appendOption writes an option and takes it out of o. A value over 255 bytes
// is split (RFC 3396). A pad byte follows option 67, for ROMs that read it as a
// string with a NUL (A12).
func appendOption(b []byte, o dhcpv4.Options, code uint8) []byte {
	v, ok := o[code]
	if !ok {
		return b
	}
	delete(o, code)
	for {
		n := min(len(v), 255)
		b = append(b, code, byte(n))
		b = append(b, v[:n]...)
		if v = v[n:]; len(v) == 0 {
			break
		}
	}
	if code == optBootfile {
		b = append(b, 0)
	}
	return b
}
