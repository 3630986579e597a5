package sntp

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

func clientPacket(first byte) []byte {
	b := make([]byte, packetSize)
	b[0] = first
	copy(b[40:], "sent-at!")
	return b
}

func TestAnswer(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 500_000_000, time.UTC)
	for _, c := range []struct {
		name    string
		req     []byte
		now     time.Time
		ok      bool
		first   byte
		stratum byte
	}{
		{"version 4", clientPacket(0x23), at, true, 0x24, 10},
		{"version 3", clientPacket(0x1b), at, true, 0x1c, 10},
		{"clock is unset", clientPacket(0x23), time.Unix(0, 0), true, 0xe4, 16},
		{"after 2036's wrap", clientPacket(0x23), time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC), true, 0x24, 10},
		{"a server's packet", clientPacket(0x24), at, false, 0, 0},
		{"control message", clientPacket(0x26), at, false, 0, 0},
		{"short", make([]byte, 12), at, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ok := Answer(c.req, c.now, c.now)
			if ok != c.ok {
				t.Fatalf("answered: %v", ok)
			}
			if !ok {
				return
			}
			if len(b) != packetSize || b[0] != c.first || b[1] != c.stratum || !bytes.Equal(b[24:32], c.req[40:48]) {
				t.Errorf("answer % x", b)
			}
			if got := binary.BigEndian.Uint32(b[40:]); got != uint32(c.now.Unix()+2208988800) {
				t.Errorf("seconds %d", got)
			}
		})
	}
	b, _ := Answer(clientPacket(0x23), at, at)
	if got := binary.BigEndian.Uint32(b[44:]); got != 1<<31 {
		t.Errorf("half a second is the fraction %#x, want 0x80000000", got)
	}
}
