package sntp

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

var nonce = Nonce{1, 2, 3, 4, 5, 6, 7, 8}

// answer is what a good server says, changed by f.
func answer(received, sent time.Time, f func([]byte)) []byte {
	p := make([]byte, 24, Size)
	p[0], p[1] = version<<3|modeServer, 2
	p = append(p, nonce[:]...)
	p = Append(Append(p, received), sent)
	if f != nil {
		f(p)
	}
	return p
}

func TestOffset(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	for name, local := range map[string]time.Time{
		"right": now, "1970": time.Unix(10, 0), "2106": time.Date(2106, 2, 7, 0, 0, 0, 0, time.UTC), "behind": now.Add(-time.Minute),
	} {
		a, err := Parse(answer(now.Add(10*time.Millisecond), now.Add(15*time.Millisecond), nil), nonce)
		if err != nil {
			t.Fatal(err)
		}
		offset, delay := a.Offset(local, local.Add(25*time.Millisecond))
		if d := offset - now.Sub(local); d.Abs() > time.Microsecond {
			t.Errorf("%s: offset wrong by %v", name, d)
		}
		if (delay - 20*time.Millisecond).Abs() > time.Microsecond {
			t.Errorf("%s: delay %v, want 20ms", name, delay)
		}
	}
}

func TestStampEras(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 11, 22, 1, 2, 3, 500_000_000, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), // first second of era 1
		time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got := stamp(Append(nil, at)); got.Sub(at).Abs() > time.Nanosecond {
			t.Errorf("%v came back as %v", at, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	now := time.Now()
	for name, f := range map[string]func([]byte){
		"client's mode": func(p []byte) { p[0] = version<<3 | modeClient },
		"alarm":         func(p []byte) { p[0] |= leapAlarm << 6 },
		"kiss of death": func(p []byte) { p[1] = 0; copy(p[12:], "RATE") },
		"stratum 16":    func(p []byte) { p[1] = 16 },
		"no time":       func(p []byte) { clear(p[40:48]) },
		"back in time":  func(p []byte) { copy(p[40:], Append(nil, now.Add(-time.Hour))) },
	} {
		if _, err := Parse(answer(now, now, f), nonce); err == nil || errors.Is(err, ErrStale) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := Parse(answer(now, now, nil), Nonce{}); !errors.Is(err, ErrStale) {
		t.Errorf("other nonce: %v", err)
	}
	if _, err := Parse(nil, nonce); err == nil {
		t.Error("empty answer accepted")
	}
}

func TestRequest(t *testing.T) {
	p := Request(nonce)
	if p[0] != 0x23 || !bytes.Equal(p[40:], nonce[:]) || slices.Max(p[1:40]) != 0 {
		t.Errorf("request % x", p)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer(time.Now(), time.Now(), nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if a, err := Parse(p, nonce); err == nil && (a.Stratum < 1 || a.Stratum > maxStratum) {
			t.Errorf("accepted stratum %d", a.Stratum)
		}
	})
}
