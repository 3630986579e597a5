package clock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ingot-os/ingot/initd/clock/sntp"
)

// measure is one good answer.
type measure struct {
	offset, delay time.Duration
	sent          time.Time // by the server
	stratum       int
}

// ask sends until there is an answer that holds: at once, then after 0.25, 0.5,
// 1 s and every second, for wait in all.
func ask(ctx context.Context, server string, wait time.Duration) (measure, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", server)
	if err != nil {
		return measure{}, fmt.Errorf("ask %s for the time: %w", server, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		m, err := once(c, pause)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return measure{}, fmt.Errorf("ask %s for the time, %v long: %w", server, wait, err)
		}
		if !timedOut(err) { // refused at once: do not send without a pause
			rest(ctx, pause)
		}
	}
}

// once sends one request and waits at most pause for its answer.
func once(c net.Conn, pause time.Duration) (measure, error) {
	var n sntp.Nonce
	_, _ = rand.Read(n[:]) // never fails (crypto/rand)
	req := sntp.Request(n)
	t1 := time.Now()
	if _, err := c.Write(req[:]); err != nil {
		return measure{}, err
	}
	if err := c.SetReadDeadline(t1.Add(pause)); err != nil {
		return measure{}, err
	}
	b := make([]byte, 512)
	for {
		k, err := c.Read(b)
		if err != nil {
			return measure{}, err
		}
		t4 := t1.Add(time.Since(t1)) // T4 on T1's clock, even if something steps it now
		a, err := sntp.Parse(b[:k], n)
		if errors.Is(err, sntp.ErrStale) {
			continue
		}
		if err != nil {
			return measure{}, err
		}
		offset, delay := a.Offset(t1, t4)
		return measure{offset: offset, delay: delay, sent: a.Sent, stratum: a.Stratum}, nil
	}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
