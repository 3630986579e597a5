package dhcpd

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// appendFrame appends an Ethernet II frame with an IPv4 UDP datagram
// (RFC 894, RFC 791 section 3.1, RFC 768) to b.
func appendFrame(b []byte, srcHW, dstHW net.HardwareAddr, src, dst netip.AddrPort, payload []byte) []byte {
	b = append(b, dstHW...)
	b = append(b, srcHW...)
	b = binary.BigEndian.AppendUint16(b, 0x0800)

	const ipSize, udpSize, protoUDP, ttl = 20, 8, 17, 64
	s4, d4 := src.Addr().As4(), dst.Addr().As4()
	udpLen := uint16(udpSize + len(payload))
	ip := make([]byte, ipSize, ipSize+int(udpLen))
	ip[0] = 4<<4 | ipSize/4
	binary.BigEndian.PutUint16(ip[2:], ipSize+udpLen)
	ip[8], ip[9] = ttl, protoUDP
	copy(ip[12:], s4[:])
	copy(ip[16:], d4[:])
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))

	udp := binary.BigEndian.AppendUint16(nil, src.Port())
	udp = binary.BigEndian.AppendUint16(udp, dst.Port())
	udp = binary.BigEndian.AppendUint16(udp, udpLen)
	udp = append(udp, 0, 0)
	udp = append(udp, payload...)
	pseudo := sum(uint32(protoUDP)+uint32(udpLen), ip[12:20]) // RFC 768's pseudo header
	check := ^sum(uint32(pseudo), udp)
	if check == 0 {
		check = 0xffff // 0 would mean "not computed"
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return append(append(b, ip...), udp...)
}

// sum is the ones' complement sum of RFC 1071, not inverted.
func sum(start uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}
