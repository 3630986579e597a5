package dhcpd

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// TestFrame checks sums as a receiver does: over the whole they are all ones.
func TestFrame(t *testing.T) {
	for _, n := range []int{0, 1, 300, 301} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		b := appendFrame(nil, net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2},
			netip.MustParseAddrPort("10.0.0.1:67"), netip.MustParseAddrPort("10.0.0.9:68"), payload)
		if b[5] != 2 || b[11] != 1 || len(b) != 14+20+8+n {
			t.Fatalf("frame of %d bytes from %x to %x", len(b), b[6:12], b[:6])
		}
		ip, udp := b[14:34], b[34:]
		if got := sum(0, ip); got != 0xffff {
			t.Errorf("payload %d: IP header sums to %#x", n, got)
		}
		if got := sum(17+uint32(len(udp))+uint32(sum(0, ip[12:20])), udp); got != 0xffff {
			t.Errorf("payload %d: UDP sums to %#x", n, got)
		}
		if int(binary.BigEndian.Uint16(ip[2:])) != 28+n || int(binary.BigEndian.Uint16(udp[4:])) != 8+n {
			t.Errorf("payload %d: lengths %x %x", n, ip[2:4], udp[4:6])
		}
	}
}

func TestHistory(t *testing.T) {
	var h history
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after time.Duration
		xid   byte
		want  int
	}{
		{0, 1, 1},
		{time.Second, 1, 1}, // a retransmission
		{time.Minute, 2, 2},
		{time.Minute, 3, 2}, // the first is out of the window by then
		{time.Hour, 4, 1},
	} {
		now = now.Add(c.after)
		if got := h.count("m", dhcpv4.TransactionID{c.xid}, now); got != c.want {
			t.Errorf("after %s, transaction %d: counted %d, want %d", c.after, c.xid, got, c.want)
		}
	}
}
