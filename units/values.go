package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const sigterm = int(syscall.SIGTERM)

var signals = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGKILL": syscall.SIGKILL,
	"SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2, "SIGTERM": syscall.SIGTERM, "SIGWINCH": syscall.SIGWINCH,
	"SIGCONT": syscall.SIGCONT, "SIGABRT": syscall.SIGABRT,
}

func setKillSignal(u *Unit, v string) error {
	s, ok := signals["SIG"+strings.TrimPrefix(v, "SIG")]
	if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 65 {
		s, ok = syscall.Signal(n), true
	}
	if !ok {
		return fmt.Errorf("%q is not a signal", v)
	}
	u.Service.KillSignal = int(s)
	return nil
}

func setUMask(u *Unit, v string) error {
	n, err := strconv.ParseUint(v, 8, 12)
	if err != nil {
		return fmt.Errorf("%q is not an octal mode", v)
	}
	u.Service.UMask = int(n)
	return nil
}

func setSocketMode(u *Unit, v string) error {
	n, err := strconv.ParseUint(v, 8, 12)
	if err != nil {
		return fmt.Errorf("%q is not an octal mode", v)
	}
	u.Socket.SocketMode = uint32(n)
	return nil
}

func setAccept(_ *Unit, v string) error {
	if b, err := parseBool(v); err != nil || !b {
		return fmt.Errorf("only no is supported")
	}
	return nil
}

func setNOFILE(u *Unit, v string) error {
	n, err := parseSize(v)
	if err != nil {
		return err
	}
	if n < 0 {
		n = 1 << 20 // the kernel's fs.nr_open
	}
	u.Service.LimitNOFILE = uint64(n)
	return nil
}

func setOOMScore(u *Unit, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < -1000 || n > 1000 {
		return fmt.Errorf("%q is not a number from -1000 to 1000", v)
	}
	u.Service.OOMScoreAdjust = &n
	return nil
}

// parseSize reads a count with a suffix K M G T (base 1024), or infinity (-1).
func parseSize(v string) (int64, error) {
	if v == "infinity" {
		return -1, nil
	}
	shift := 0
	if i := strings.IndexByte("KMGT", last(v)); i >= 0 && v != "" {
		shift, v = 10*(i+1), v[:len(v)-1]
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a size", v)
	}
	return n << shift, nil
}

func last(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

// spanUnits are systemd.time(7)'s units of time.
var spanUnits = map[string]time.Duration{
	"": time.Second, "usec": time.Microsecond, "us": time.Microsecond, "µs": time.Microsecond,
	"msec": time.Millisecond, "ms": time.Millisecond,
	"seconds": time.Second, "second": time.Second, "sec": time.Second, "s": time.Second,
	"minutes": time.Minute, "minute": time.Minute, "min": time.Minute, "m": time.Minute,
	"hours": time.Hour, "hour": time.Hour, "hr": time.Hour, "h": time.Hour,
	"days": 24 * time.Hour, "day": 24 * time.Hour, "d": 24 * time.Hour,
	"weeks": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "w": 7 * 24 * time.Hour,
	"months": 2629800 * time.Second, "month": 2629800 * time.Second, "M": 2629800 * time.Second,
	"years": 31557600 * time.Second, "year": 31557600 * time.Second, "y": 31557600 * time.Second,
}

// ParseSpan reads a time span of systemd.time(7): "5min 20s", "1.5h", "90",
// "infinity".
func ParseSpan(v string) (time.Duration, error) {
	rest := strings.TrimSpace(v)
	if rest == "infinity" {
		return Forever, nil
	}
	if rest == "" {
		return 0, fmt.Errorf("time span is empty")
	}
	total := 0.0
	for rest != "" {
		digits := countLeading(rest, "0123456789.")
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time span", v)
		}
		rest = strings.TrimLeft(rest[digits:], " \t")
		letters := strings.IndexAny(rest, "0123456789. \t")
		if letters < 0 {
			letters = len(rest)
		}
		unit, ok := spanUnits[rest[:letters]]
		if !ok {
			return 0, fmt.Errorf("%q is not a unit of time", rest[:letters])
		}
		total += n * float64(unit)
		rest = strings.TrimLeft(rest[letters:], " \t")
	}
	if total >= float64(Forever) {
		return 0, fmt.Errorf("%q is out of range", v)
	}
	return time.Duration(math.Round(total)), nil
}

func countLeading(s, set string) int {
	return len(s) - len(strings.TrimLeft(s, set))
}

// expandSpecifiers replaces %n %N %p %i %% (systemd.unit(5), Specifiers).
func expandSpecifiers(name, value string) (string, error) {
	if !strings.Contains(value, "%") {
		return value, nil
	}
	stem := name[:strings.LastIndexByte(name, '.')]
	prefix, instance, _ := strings.Cut(stem, "@")
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' || i+1 == len(value) {
			b.WriteByte(value[i])
			continue
		}
		i++
		switch value[i] {
		case 'n':
			b.WriteString(name)
		case 'N':
			b.WriteString(stem)
		case 'p':
			b.WriteString(prefix)
		case 'i':
			b.WriteString(instance)
		case '%':
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("specifier %%%c is not supported", value[i])
		}
	}
	return b.String(), nil
}
