package debian

import (
	"cmp"
	"strings"
)

// compareVersions orders Debian versions (deb-version(7)): epoch, upstream,
// revision; tilde before the end, letters before other signs, numbers by value.
func compareVersions(a, b string) int {
	ea, ra := epoch(a)
	eb, rb := epoch(b)
	ua, da := revision(ra)
	ub, db := revision(rb)
	return cmp.Or(compareDigits(ea, eb), comparePart(ua, ub), comparePart(da, db))
}

func epoch(v string) (string, string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		return e, rest
	}
	return "0", v
}

func revision(v string) (string, string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

// comparePart takes turns between stretches without and with digits.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = stretch(a, false)
		y, b = stretch(b, false)
		if c := compareSigns(x, y); c != 0 {
			return c
		}
		x, a = stretch(a, true)
		y, b = stretch(b, true)
		if c := compareDigits(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func stretch(s string, digits bool) (string, string) {
	i := 0
	for i < len(s) && isDigit(s[i]) == digits {
		i++
	}
	return s[:i], s[i:]
}

func compareSigns(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z':
		return int(s[i])
	}
	return int(s[i]) + 256
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
