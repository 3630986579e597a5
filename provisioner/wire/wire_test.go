package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// request is a DISCOVER in the bytes of the wire, options as given.
func request(flags uint16, options ...byte) []byte {
	b := make([]byte, fixedSize, 400)
	b[0], b[1], b[2] = 1, 1, 6
	binary.BigEndian.PutUint32(b[4:], 0xfeedbeef)
	binary.BigEndian.PutUint16(b[10:], flags)
	copy(b[28:], []byte{0x52, 0x54, 0, 0, 0, 0x0b})
	b = append(b, cookie[:]...)
	return append(append(b, 53, 1, 1), options...)
}

func option(code byte, v string) []byte { return append([]byte{code, byte(len(v))}, v...) }

func all(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// The shapes are those that QEMU's iPXE ROM and OVMF sent.
var (
	ipxeOptions = all(
		option(57, "\x05\xc0"), option(93, "\x00\x00"), option(94, "\x01\x02\x01"),
		option(60, "PXEClient:Arch:00000:UNDI:002001"), option(77, "iPXE"),
		option(175, "\xb1\x05\x01\x1a\xf4\x10\x00\x18\x01\x01\x22\x01\x01\x13\x01\x01\x12\x01\x01\xeb\x03\x01\x00\x00"),
		option(97, "\x000123456789abcdef"), []byte{255})
	ovmfOptions = all(
		option(57, "\x05\xdc"), option(97, "\x000123456789abcdef"), option(94, "\x01\x03\x00"), option(93, "\x00\x10"),
		option(60, "HTTPClient:Arch:00016:UNDI:003000"), []byte{255})
)

func TestFacts(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet []byte
		check  func(Facts) bool
	}{
		{"iPXE ROM", request(0, ipxeOptions...), func(f Facts) bool {
			return f.Client == IPXE && !f.Broadcast && f.IPXE.HTTP && f.HasArch && f.Arch == ArchBIOS && len(f.GUID) == 17 && f.MaxSize == 0x5c0-28
		}},
		{"OVMF HTTP", request(0x8000, ovmfOptions...), func(f Facts) bool {
			return f.Client == HTTP && f.Broadcast && f.Arch == ArchX64HTTP && f.MaxSize == 0x5dc-28
		}},
		{"own client", request(0, 255), func(f Facts) bool { return f.Client == Plain && f.MaxSize == DefaultMax && !f.HasGUID }},
		{"user class with length", request(0, all(option(77, "\x04iPXE"), []byte{255})...), func(f Facts) bool { return f.Client == IPXE }},
		{"arch from class", request(0, all(option(60, "PXEClient:Arch:00007:UNDI:003016"), []byte{255})...), func(f Facts) bool {
			return f.Client == PXE && f.HasArch && f.Arch == ArchX64
		}},
		{"several archs", request(0, all(option(93, "\x12\x34\x00\x09"), []byte{255})...), func(f Facts) bool { return f.Arch == ArchX64Too }},
		{"empty GUID", request(0, all(option(97, ""), []byte{255})...), func(f Facts) bool { return f.HasGUID && len(f.GUID) == 0 }},
		{"garbage after class", request(0, all(option(60, "HTTPClient"), []byte{12, 200, 1, 2})...), func(f Facts) bool { return f.Client == HTTP }},
		{"no end", request(0, option(60, "PXEClient")...), func(f Facts) bool { return f.Client == PXE }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse(c.packet)
			if err != nil {
				t.Fatal(err)
			}
			if f := FactsOf(p, 67); !c.check(f) || f.MAC != "52:54:00:00:00:0b" {
				t.Errorf("read as %+v", f)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	reply := request(0, 255)
	reply[0] = 2
	token := request(0, 255)
	token[1] = 6
	for name, b := range map[string][]byte{"short": make([]byte, 100), "reply": reply, "not Ethernet": token} {
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: read without error", name)
		}
	}
}

func TestAppend(t *testing.T) {
	req, err := Parse(request(0x8000, all(option(82, "\x01\x02ab"), []byte{255})...))
	if err != nil {
		t.Fatal(err)
	}
	req.GatewayIPAddr = net.IPv4(10, 9, 9, 9)
	b := Append(nil, req, Reply{
		Type: dhcpv4.MessageTypeOffer, YourIP: [4]byte{10, 0, 0, 9}, File: "http://10.0.0.1/x",
		Options: dhcpv4.Options{54: {10, 0, 0, 1}, 60: []byte("HTTPClient"), 51: {0, 0, 0, 9}, 224: []byte("u")},
	})
	if len(b) < minSize {
		t.Errorf("reply has %d bytes, want %d at least", len(b), minSize)
	}
	var codes []byte
	for o := b[fixedSize+4:]; o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		codes = append(codes, o[0])
		o = o[2+int(o[1]):]
	}
	if want := []byte{53, 54, 51, 67, 60, 224, 82}; !bytes.Equal(codes, want) {
		t.Errorf("options in order %v, want %v", codes, want)
	}
	if i := bytes.Index(b[fixedSize:], []byte("http://10.0.0.1/x")); b[fixedSize+i+17] != 0 {
		t.Error("no zero byte behind option 67")
	}
	got, err := dhcpv4.FromBytes(b) // a reader that others wrote
	if err != nil {
		t.Fatal(err)
	}
	if !got.YourIPAddr.Equal(net.IPv4(10, 0, 0, 9)) || got.BootFileName != "http://10.0.0.1/x" || !got.GatewayIPAddr.Equal(req.GatewayIPAddr) || !got.IsBroadcast() {
		t.Errorf("read back as %s", got.Summary())
	}
}

func TestAppendLongFile(t *testing.T) {
	req, err := Parse(request(0, 255))
	if err != nil {
		t.Fatal(err)
	}
	long := "http://10.0.0.1/" + string(bytes.Repeat([]byte("x"), 130))
	got, err := dhcpv4.FromBytes(Append(nil, req, Reply{Type: dhcpv4.MessageTypeAck, File: long}))
	if err != nil {
		t.Fatal(err)
	}
	if got.BootFileName != "" || got.BootFileNameOption() != long {
		t.Errorf("file %q, option 67 %q", got.BootFileName, got.BootFileNameOption())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(request(0, ipxeOptions...))
	f.Add(request(0x8000, ovmfOptions...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		FactsOf(p, 67)
		out := Append(nil, p, Reply{Type: dhcpv4.MessageTypeOffer})
		if _, err := dhcpv4.FromBytes(out); err != nil {
			t.Errorf("reply does not read: %v", err)
		}
	})
}
