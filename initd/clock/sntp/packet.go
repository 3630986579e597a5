// Package sntp is the packet of the simple network time protocol, RFC 4330, as a
// client needs it: it makes a request, checks an answer against it and computes
// the offset. It does no I/O and reads no clock.
//
// The request's transmit timestamp is not the time but a random number: a server
// echoes it, so an answer to somebody else, or one forged without seeing the
// request, is refused, and nothing about this machine's clock is told
// (draft-ietf-ntp-data-minimization).
package sntp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Size of a packet without authenticator (RFC 4330 section 4).
const Size = 48

// Modes and the leap indicator's alarm (RFC 4330 section 4).
const (
	modeClient = 3
	modeServer = 4
	version    = 4
	leapAlarm  = 3
	maxStratum = 15
)

// Nonce is the random transmit timestamp of a request.
type Nonce [8]byte

// Request is the packet that asks a server.
func Request(n Nonce) [Size]byte {
	var p [Size]byte
	p[0] = version<<3 | modeClient
	copy(p[40:], n[:])
	return p
}

// Answer is what a server said.
type Answer struct {
	Stratum  int
	Received time.Time // T2: the request, by the server's clock
	Sent     time.Time // T3: the answer, by the server's clock
}

// ErrStale is an answer to another request: keep listening.
var ErrStale = errors.New("answer to another request")

// Parse checks an answer to the request with nonce n (RFC 4330 section 5).
func Parse(p []byte, n Nonce) (Answer, error) {
	if len(p) < Size {
		return Answer{}, fmt.Errorf("answer of %d bytes, a time packet has %d", len(p), Size)
	}
	if Nonce(p[24:32]) != n {
		return Answer{}, ErrStale
	}
	leap, mode, stratum := p[0]>>6, p[0]&7, int(p[1])
	switch {
	case mode != modeServer:
		return Answer{}, fmt.Errorf("answer in mode %d, a server's is %d", mode, modeServer)
	case stratum == 0:
		return Answer{}, fmt.Errorf("the server refuses: %q", p[12:16]) // kiss-o'-death, section 8
	case leap == leapAlarm:
		return Answer{}, errors.New("the server's own clock is not synchronized")
	case stratum > maxStratum:
		return Answer{}, fmt.Errorf("answer with stratum %d: the server's own clock is not synchronized", stratum)
	}
	a := Answer{Stratum: stratum, Received: stamp(p[32:40]), Sent: stamp(p[40:48])}
	if binary.BigEndian.Uint64(p[40:48]) == 0 || a.Sent.Before(a.Received) {
		return Answer{}, errors.New("answer with a transmit time that cannot be")
	}
	return a, nil
}

// Offset is how far the local clock is behind the server's, and the time that
// the network took: T1 and T4 are the sending and the coming by the local clock
// (RFC 4330 section 5).
func (a Answer) Offset(t1, t4 time.Time) (offset, delay time.Duration) {
	t1, t4 = t1.Round(0), t4.Round(0) // the wall clock, without Go's monotonic part
	offset = a.Received.Sub(t1)/2 + a.Sent.Sub(t4)/2
	return offset, t4.Sub(t1) - a.Sent.Sub(a.Received)
}

// Seconds from 1900, where NTP's era 0 begins, to 1970; era 1 begins in 2036. A
// first bit of 1 is era 0, of 0 era 1: good from 1968 to 2104 (section 3).
const (
	unixOfEra0 = -2208988800
	era        = 1 << 32
)

func stamp(b []byte) time.Time {
	secs := int64(binary.BigEndian.Uint32(b))
	if secs < era/2 {
		secs += era
	}
	nanos := int64(uint64(binary.BigEndian.Uint32(b[4:])) * 1e9 >> 32)
	return time.Unix(secs+unixOfEra0, nanos)
}

// Append puts t in NTP's form behind b.
func Append(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(t.Unix()-unixOfEra0)) // modulo the era
	return binary.BigEndian.AppendUint32(b, uint32(uint64(t.Nanosecond())<<32/1e9))
}
