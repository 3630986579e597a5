package policy

import (
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/provisioner/wire"
)

// ipxeSettings is option 175 to iPXE: sub-option 1, priority 1, so that this
// offer wins over a foreign one; sub-option 176, no-pxedhcp, so that it does
// not wait for a proxy (A16).
var ipxeSettings = []byte{1, 1, 1, 176, 1, 1}

// boot adds what leads the client to its boot file.
func (a *Answer) boot(f wire.Facts, s Site) {
	o := a.Reply.Options
	switch f.Client {
	case wire.IPXE:
		a.Stage = StageScript
		a.file(s.ScriptURL(), s)
		o[60] = []byte("PXEClient") // A1
		o[175] = ipxeSettings       // and no option 43: it would open a menu
		echoGUID(o, f)
	case wire.HTTP:
		a.Stage = StageKernel
		a.file(s.KernelURL(), s)
		o[60] = []byte("HTTPClient") // A1: without it the offer is dropped
		echoGUID(o, f)
	default:
		a.Stage = StageAddress
		o[api.DHCPOptionSite] = []byte(s.EnrolURL())
	}
	a.fit(f)
}

// file names the boot file in header and option 67 (A12, A26).
func (a *Answer) file(url string, s Site) {
	a.Reply.File = url
	a.Reply.NextIP = s.Address.Addr().As4()
}

// echoGUID returns option 97 byte for byte where the client sent one of a
// length that RFC 4578 section 2.3 knows, or of none at all; a client that
// sends anything else is answered without (A4).
func echoGUID(o dhcpv4.Options, f wire.Facts) {
	const guidSize = 17
	if f.HasGUID && (len(f.GUID) == 0 || len(f.GUID) == guidSize) {
		o[97] = f.GUID
	}
}

// fit drops what the client can live without until the reply fits (A13).
func (a *Answer) fit(f wire.Facts) {
	for _, code := range []uint8{42, 28} {
		if size(a.Reply) <= f.MaxSize {
			return
		}
		delete(a.Reply.Options, code)
	}
}

// size is the reply's length without what is copied from the request.
func size(r wire.Reply) int {
	return len(wire.Append(nil, &dhcpv4.DHCPv4{}, r))
}
