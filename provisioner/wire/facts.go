package wire

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Client is who speaks: which program asks for an address.
type Client int

// Clients. Plain is an operating system's own client: it asks for no boot file.
const (
	Plain Client = iota
	PXE
	HTTP
	IPXE
)

func (c Client) String() string {
	return [...]string{"plain", "pxe", "http", "ipxe"}[c]
}

// IPXEFeatures are the bits of option 175 that decisions use (iPXE features.h).
type IPXEFeatures struct {
	Listed bool // it named any feature at all
	HTTP   bool // sub-option 19
}

// Facts are what one request says.
type Facts struct {
	Type      dhcpv4.MessageType
	MAC       string
	Port      int // that it came to: 67 or 4011
	Client    Client
	Class     string // option 60
	Arch      iana.Arch
	HasArch   bool
	IPXE      IPXEFeatures
	Broadcast bool
	ClientIP  netip.Addr // ciaddr; zero when none
	Requested netip.Addr // option 50
	ServerID  netip.Addr // option 54
	Relay     netip.Addr // giaddr
	GUID      []byte     // option 97, nil when absent
	HasGUID   bool
	MaxSize   int // of a DHCP message the client takes
}

// FactsOf reads a request that came to port.
func FactsOf(p *dhcpv4.DHCPv4, port int) Facts {
	f := Facts{
		Type:      p.MessageType(),
		MAC:       p.ClientHWAddr.String(),
		Port:      port,
		Class:     text(p.Options[60]),
		Broadcast: p.IsBroadcast(),
		ClientIP:  addr(p.ClientIPAddr),
		Requested: addr(p.Options[50]),
		ServerID:  addr(p.Options[54]),
		Relay:     addr(p.GatewayIPAddr),
		MaxSize:   maxSize(p),
	}
	f.GUID, f.HasGUID = p.Options[97]
	f.Arch, f.HasArch = arch(p.Options[93], f.Class)
	f.IPXE = features(p.Options[175])
	f.Client = client(p, f.Class)
	return f
}

// client tells who asks. iPXE calls itself PXEClient even when firmware fetched
// it over HTTP, so options 77 and 175 come first (A1, A14).
func client(p *dhcpv4.DHCPv4, class string) Client {
	_, has175 := p.Options[175]
	switch {
	case has175 || isIPXE(p.Options[77]):
		return IPXE
	case strings.HasPrefix(class, "HTTPClient"):
		return HTTP
	case strings.HasPrefix(class, "PXEClient"):
		return PXE
	}
	return Plain
}

// isIPXE reads the user class raw, as iPXE sends it, or with a length before
// each class (RFC 3004 section 4).
func isIPXE(v []byte) bool {
	if bytes.Equal(v, []byte("iPXE")) {
		return true
	}
	for len(v) > 0 {
		n := int(v[0])
		if n == 0 || n+1 > len(v) {
			return false
		}
		if string(v[1:1+n]) == "iPXE" {
			return true
		}
		v = v[1+n:]
	}
	return false
}

// features reads the encapsulated options of option 175.
func features(v []byte) (f IPXEFeatures) {
	const subHTTP = 19
	for len(v) >= 2 {
		n := int(v[1])
		if n+2 > len(v) {
			return f
		}
		if v[0] >= 16 && v[0] < 64 { // feature bits; others are settings
			f.Listed = true
			f.HTTP = f.HTTP || v[0] == subHTTP && n >= 1 && v[2] != 0
		}
		v = v[2+n:]
	}
	return f
}

// arch takes the first known value of option 93, or what the class says when
// the option is missing, as in "PXEClient:Arch:00007:UNDI:003016" (A9, A10).
func arch(v []byte, class string) (iana.Arch, bool) {
	first, found := iana.Arch(0), false
	for ; len(v) >= 2; v = v[2:] {
		a := iana.Arch(uint16(v[0])<<8 | uint16(v[1]))
		if Known(a) {
			return a, true
		}
		if !found {
			first, found = a, true
		}
	}
	if found {
		return first, true
	}
	_, rest, ok := strings.Cut(class, ":Arch:")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(digits, 10, 16)
	return iana.Arch(n), err == nil
}

func maxSize(p *dhcpv4.DHCPv4) int {
	n, err := p.MaxMessageSize()
	if err != nil || int(n)-28 < DefaultMax {
		return DefaultMax
	}
	return int(n) - 28 // the option counts IP and UDP headers (RFC 2132 section 9.10)
}

func text(v []byte) string { return strings.TrimRight(string(v), "\x00") }

func addr(b []byte) netip.Addr {
	a, ok := netip.AddrFromSlice(b)
	if a = a.Unmap(); !ok || !a.Is4() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
