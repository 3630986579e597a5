package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/provisioner/wire"
)

var (
	ours  = netip.MustParseAddr("10.77.0.1")
	lease = netip.MustParseAddr("10.77.0.11")
	other = netip.MustParseAddr("10.77.0.99")
	relay = netip.MustParseAddr("10.99.0.1")

	testSite = Site{Address: netip.MustParsePrefix("10.77.0.1/24"), Lease: 24 * time.Hour}
	known    = Machine{Name: "m1", Known: true, Address: lease}
	stranger = Machine{Name: "unknown-525400000001", Address: other}
	guid     = []byte("\x000123456789abcdef")
)

func facts(t dhcpv4.MessageType, c wire.Client, change func(*wire.Facts)) wire.Facts {
	f := wire.Facts{
		Type: t, Client: c, MAC: "52:54:00:00:00:01", Port: 67, MaxSize: wire.DefaultMax,
		Class: map[wire.Client]string{wire.PXE: "PXEClient:Arch:00000:UNDI:002001", wire.IPXE: "PXEClient:Arch:00000:UNDI:002001", wire.HTTP: "HTTPClient:Arch:00016:UNDI:003000"}[c],
	}
	switch c {
	case wire.HTTP:
		f.Arch, f.HasArch, f.Broadcast = wire.ArchX64HTTP, true, true
	case wire.IPXE:
		f.HasArch, f.IPXE = true, wire.IPXEFeatures{Listed: true, HTTP: true}
	}
	if change != nil {
		change(&f)
	}
	return f
}

const (
	discover = dhcpv4.MessageTypeDiscover
	request  = dhcpv4.MessageTypeRequest
)

// TestFirmwareList has one test for each row of the firmware list that applies
// to a boot path served here.
func TestFirmwareList(t *testing.T) {
	opt := func(a Answer, code uint8) string { return string(a.Reply.Options[code]) }
	for _, c := range []struct {
		row     string
		facts   wire.Facts
		machine Machine
		site    func(*Site)
		ok      func(Answer) bool
	}{
		{"A1 HTTPClient is answered HTTPClient", facts(discover, wire.HTTP, nil), known, nil, func(a Answer) bool { return opt(a, 60) == "HTTPClient" }},
		{"A1 iPXE is answered PXEClient, by options 77 and 175 first", facts(discover, wire.IPXE, nil), known, nil, func(a Answer) bool {
			return opt(a, 60) == "PXEClient" && a.Stage == StageScript
		}},
		{"A1 others get no option 60", facts(discover, wire.Plain, nil), known, nil, func(a Answer) bool { _, has := a.Reply.Options[60]; return !has }},
		{"A2 A16 no option 43 to iPXE", facts(discover, wire.IPXE, nil), known, nil, func(a Answer) bool { _, has := a.Reply.Options[43]; return !has }},
		{"A3 port 4011 is decided alike", facts(request, wire.IPXE, func(f *wire.Facts) { f.Port, f.ClientIP = 4011, lease }), known, nil, func(a Answer) bool {
			return a.Reply.Type == dhcpv4.MessageTypeAck && a.Reply.File == "http://10.77.0.1/boot/ipxe" && a.Reply.NextIP == ours.As4() && a.To == Address
		}},
		{"A4 option 97 byte for byte", facts(discover, wire.HTTP, func(f *wire.Facts) { f.GUID, f.HasGUID = guid, true }), known, nil, func(a Answer) bool { return opt(a, 97) == string(guid) }},
		{"A4 option 97 of no length", facts(discover, wire.HTTP, func(f *wire.Facts) { f.GUID, f.HasGUID = []byte{}, true }), known, nil, func(a Answer) bool {
			v, has := a.Reply.Options[97]
			return has && len(v) == 0
		}},
		{"A4 odd option 97 is answered without", facts(discover, wire.HTTP, func(f *wire.Facts) { f.GUID, f.HasGUID = []byte{1, 2}, true }), known, nil, func(a Answer) bool {
			_, has := a.Reply.Options[97]
			return !has && a.To == Broadcast
		}},
		{"A5 broadcast when asked for", facts(discover, wire.HTTP, nil), known, nil, func(a Answer) bool { return a.To == Broadcast }},
		{"A5 frame to the hardware address when not", facts(discover, wire.IPXE, nil), known, nil, func(a Answer) bool { return a.To == Hardware && a.Reply.YourIP == lease.As4() }},
		{"A5 to the client's own address when it has one", facts(request, wire.Plain, func(f *wire.Facts) { f.ClientIP = lease }), known, nil, func(a Answer) bool { return a.To == Address && a.IP == lease }},
		{"A6 to the relay", facts(discover, wire.IPXE, func(f *wire.Facts) { f.Relay = relay }), known, nil, func(a Answer) bool { return a.To == Relay && a.IP == relay }},
		{"A7 A8 silent about another server's offer", facts(request, wire.IPXE, func(f *wire.Facts) { f.ServerID = other }), known, nil, func(a Answer) bool {
			return a.To == Nowhere && strings.Contains(a.Event, "another DHCP server's offer (10.77.0.99)")
		}},
		{"A8 NAK by broadcast to a system with a wrong address", facts(request, wire.Plain, func(f *wire.Facts) { f.Requested = other }), known, nil, func(a Answer) bool {
			return a.Reply.Type == dhcpv4.MessageTypeNak && a.To == Broadcast && a.Reply.YourIP == [4]byte{}
		}},
		{"A8 never NAK firmware", facts(request, wire.IPXE, func(f *wire.Facts) { f.Requested = other }), known, nil, func(a Answer) bool { return a.To == Nowhere }},
		{"A9 no arch, no class, no GUID: still an answer", facts(discover, wire.Plain, nil), known, nil, func(a Answer) bool { return a.Reply.Type == dhcpv4.MessageTypeOffer }},
		{"A9 iPXE that lists no features is believed", facts(discover, wire.IPXE, func(f *wire.Facts) { f.IPXE = wire.IPXEFeatures{} }), known, nil, func(a Answer) bool { return a.Stage == StageScript }},
		{"A10 arm64 does not get the x64 image", facts(discover, wire.HTTP, func(f *wire.Facts) { f.Arch = wire.ArchARM64HTTP }), known, nil, func(a Answer) bool {
			return a.To == Nowhere && strings.Contains(a.Event, "arm64")
		}},
		{"A11 PXE over TFTP is not served, and said", facts(discover, wire.PXE, nil), known, nil, func(a Answer) bool {
			return a.To == Nowhere && strings.Contains(a.Event, "PXE over TFTP (bios), which is not served")
		}},
		{"A12 file and next server", facts(discover, wire.HTTP, nil), known, nil, func(a Answer) bool {
			return a.Reply.File == "http://10.77.0.1/boot/ingot.efi" && a.Reply.NextIP == ours.As4()
		}},
		{"A13 replies fit the smallest client", facts(discover, wire.IPXE, func(f *wire.Facts) { f.GUID, f.HasGUID = guid, true }), known, nil, func(a Answer) bool { return size(a.Reply) <= wire.DefaultMax }},
		{"A15 a loop is told", facts(discover, wire.IPXE, nil), Machine{Name: "m1", Known: true, Address: lease, Repeats: LoopLimit}, nil, func(a Answer) bool {
			return a.To == Hardware && strings.Contains(a.Event, "asked 3 times in 2m0s for ipxe-script")
		}},
		{"A16 iPXE does not wait for a proxy", facts(discover, wire.IPXE, nil), known, nil, func(a Answer) bool { return opt(a, 175) == "\x01\x01\x01\xb0\x01\x01" }},
		{"A17 iPXE without HTTP", facts(discover, wire.IPXE, func(f *wire.Facts) { f.IPXE.HTTP = false }), known, nil, func(a Answer) bool {
			return a.To == Nowhere && strings.Contains(a.Event, "no HTTP")
		}},
		{"A25 A26 URL by address, in the header's 127 bytes", facts(discover, wire.HTTP, nil), known, nil, func(a Answer) bool {
			return strings.HasPrefix(a.Reply.File, "http://10.77.0.1/") && len(a.Reply.File) < 128
		}},
		{"A35 an unknown system gets no address where strangers are denied", facts(discover, wire.Plain, nil), stranger, func(s *Site) { s.DenyUnknown = true }, func(a Answer) bool {
			return a.To == Nowhere && strings.Contains(a.Event, "unknown machine")
		}},
		{"A35 unknown firmware boots all the same", facts(discover, wire.IPXE, nil), stranger, func(s *Site) { s.DenyUnknown = true }, func(a Answer) bool { return a.To == Hardware }},
		{"A35 on a wire of our own strangers get an address", facts(discover, wire.Plain, nil), stranger, nil, func(a Answer) bool { return a.Reply.YourIP == other.As4() }},
		{"pool is empty", facts(discover, wire.IPXE, nil), Machine{Name: "x"}, nil, func(a Answer) bool { return a.To == Nowhere && strings.Contains(a.Event, "pool") }},
		{"a node learns its site", facts(request, wire.Plain, func(f *wire.Facts) { f.Requested, f.ServerID = lease, ours }), known, nil, func(a Answer) bool {
			return opt(a, 224) == "https://10.77.0.1:7300" && a.Reply.File == "" && a.Reply.Type == dhcpv4.MessageTypeAck && opt(a, 42) == "\x0a\x4d\x00\x01"
		}},
		{"who informs is given no address", facts(dhcpv4.MessageTypeInform, wire.Plain, func(f *wire.Facts) { f.ClientIP = lease }), known, nil, func(a Answer) bool {
			_, leased := a.Reply.Options[51]
			return a.Reply.Type == dhcpv4.MessageTypeAck && a.Reply.YourIP == [4]byte{} && !leased
		}},
		{"a release is no question", facts(dhcpv4.MessageTypeRelease, wire.Plain, nil), known, nil, func(a Answer) bool { return a.To == Nowhere && a.Event == "" }},
		{"a declined address is told", facts(dhcpv4.MessageTypeDecline, wire.Plain, func(f *wire.Facts) { f.Requested = lease }), known, nil, func(a Answer) bool {
			return a.To == Nowhere && strings.Contains(a.Event, "another device")
		}},
	} {
		t.Run(c.row, func(t *testing.T) {
			s := testSite
			if c.site != nil {
				c.site(&s)
			}
			if a := Decide(c.facts, c.machine, s); !c.ok(a) {
				t.Errorf("answer %+v", a)
			}
		})
	}
}

// TestLease looks at a whole answer.
func TestLease(t *testing.T) {
	s := testSite
	s.Gateway = netip.MustParseAddr("10.77.0.254")
	a := Decide(facts(discover, wire.Plain, nil), known, s)
	want := dhcpv4.Options{
		1: {255, 255, 255, 0}, 3: {10, 77, 0, 254}, 28: {10, 77, 0, 255}, 42: {10, 77, 0, 1},
		51: {0, 1, 0x51, 0x80}, 54: {10, 77, 0, 1}, 224: []byte("https://10.77.0.1:7300"),
	}
	if d := cmp.Diff(want, a.Reply.Options, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}

func TestFirmwareName(t *testing.T) {
	for want, f := range map[string]wire.Facts{
		"bios-ipxe": facts(discover, wire.IPXE, nil),
		"uefi-ipxe": facts(discover, wire.IPXE, func(f *wire.Facts) { f.Arch = wire.ArchX64 }),
		"uefi-http": facts(discover, wire.HTTP, nil),
		"pxe":       facts(discover, wire.PXE, nil),
		"":          facts(discover, wire.Plain, nil),
	} {
		if got := Decide(f, known, testSite).Firmware(f); got != want {
			t.Errorf("%v is called %q, want %q", f.Client, got, want)
		}
	}
}
