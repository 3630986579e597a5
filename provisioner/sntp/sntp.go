// Package sntp tells machines the time: an SNTP server (RFC 5905, mode 4) whose
// reference is this machine's own clock, which it says openly (stratum 10,
// reference LOCL), so that a real time server wins where there is one.
//
// A clock that is plainly unset is not passed on: the answer then says
// "unsynchronized", which every client refuses. One goroutine, the caller of
// Serve.
package sntp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Port is NTP's.
const Port = 123

const (
	packetSize   = 48
	modeClient   = 3
	modeServer   = 4
	stratumLocal = 10
	unsynced     = 16
	leapUnknown  = 3
	precision    = -20 // about a microsecond
)

// ntpEpoch is 1900 in Unix seconds; sane is the oldest time worth telling.
const ntpEpoch = -2208988800

var sane = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Serve answers on c until ctx ends, then closes it.
func Serve(ctx context.Context, c *net.UDPConn, log *slog.Logger) error {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		received := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read NTP request: %w", err)
		case err != nil:
			log.Warn("read NTP request", "error", err)
			continue
		}
		answer, ok := Answer(buf[:n], received, time.Now())
		if !ok {
			continue
		}
		if _, err := c.WriteToUDPAddrPort(answer, from); err != nil {
			log.Warn("send NTP answer", "to", from, "error", err)
		}
	}
}

// Answer is the reply to a client's packet, or false for anything else: it is
// never longer than the request (RFC 5905 section 7.3, figure 8).
func Answer(req []byte, received, sent time.Time) ([]byte, bool) {
	if len(req) < packetSize || req[0]&7 != modeClient {
		return nil, false
	}
	leap, stratum := byte(0), byte(stratumLocal)
	if sent.Before(sane) {
		leap, stratum = leapUnknown, unsynced
	}
	version := req[0] >> 3 & 7
	b := make([]byte, packetSize)
	b[0] = leap<<6 | version<<3 | modeServer
	b[1] = stratum
	b[2] = req[2]
	b[3] = 0x100 + precision
	binary.BigEndian.PutUint32(b[8:], 1<<16/1000) // root dispersion, 1 ms
	copy(b[12:16], "LOCL")
	binary.BigEndian.PutUint64(b[16:], stamp(received.Truncate(time.Second)))
	copy(b[24:32], req[40:48])
	binary.BigEndian.PutUint64(b[32:], stamp(received))
	binary.BigEndian.PutUint64(b[40:], stamp(sent))
	return b, true
}

// stamp is seconds and fraction since 1900, modulo the era (RFC 5905 section 6).
func stamp(t time.Time) uint64 {
	sec := uint64(uint32(t.Unix() - ntpEpoch))
	frac := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return sec<<32 | frac
}
