// Package policy decides what a machine that asks gets: one pure function from
// the facts of a request, the machine's record and the site to an answer.
//
// It carries the firmware list, rows A1 to A35: each row that applies to a boot
// path served here is one test of TestFirmwareList. Served: iPXE (BIOS or UEFI)
// gets a script over HTTP, UEFI HTTP boot gets the unified kernel image, an
// operating system's own client gets an address and the site's URL. A PXE ROM
// that is not iPXE would need TFTP, which is not served: it gets no answer, and
// the event says so.
//
// It refuses to know sockets, clocks and files; dhcpd asks it for each packet,
// on port 67 and on 4011 alike (A3).
package policy

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/provisioner/wire"
)

// Site is what holds for every answer.
type Site struct {
	Address netip.Prefix // the provisioner's own address and its network
	Gateway netip.Addr   // zero: none is offered
	Lease   time.Duration
	// DenyUnknown leases no address to machines that are not in the inventory
	// unless their firmware asks to boot (A35). A wire of one's own has no
	// strangers to protect.
	DenyUnknown bool
}

// Machine is what the site knows of who asks.
type Machine struct {
	Name    string
	Known   bool       // it is in the inventory
	Address netip.Addr // reserved or out of the pool; zero: the pool is empty
	Repeats int        // times its firmware asked at this stage within LoopWindow
}

// LoopWindow and LoopLimit: firmware that asks this often this fast is not
// getting anywhere (A15).
const (
	LoopWindow = 2 * time.Minute
	LoopLimit  = 3
)

// To is where an answer goes.
type To int

// Destinations (RFC 2131 section 4.1).
const (
	Nowhere   To = iota // no answer
	Hardware            // frame to chaddr, no ARP: the client has no address yet (A5)
	Broadcast           // the client asked for it, or it is a NAK
	Address             // the client's own address, by the ordinary way
	Relay               // the relay agent's port 67 (A6)
)

// Stage is what the answer leads to, for events and for the loop guard.
type Stage string

// Stages.
const (
	StageScript  Stage = "ipxe-script"
	StageKernel  Stage = "uefi-http"
	StageAddress Stage = "address"
)

// Answer is the decision.
type Answer struct {
	Reply wire.Reply
	To    To
	IP    netip.Addr // for Address and Relay
	Stage Stage
	Event string // one line for people; empty: nothing worth telling
}

// Firmware names the boot path in machine documents.
func (a Answer) Firmware(f wire.Facts) string {
	switch {
	case a.Stage == StageKernel:
		return "uefi-http"
	case f.Client == wire.IPXE && wire.ArchName(f.Arch) == "bios":
		return "bios-ipxe"
	case f.Client == wire.IPXE:
		return "uefi-ipxe"
	case f.Client == wire.PXE:
		return "pxe"
	}
	return ""
}

// ScriptURL and KernelURL are what firmware is told to fetch: by address, since
// firmware wants a name server for names (A26).
func (s Site) ScriptURL() string { return s.url("/boot/ipxe") }

// KernelURL is the unified kernel image.
func (s Site) KernelURL() string { return s.url("/boot/ingot.efi") }

func (s Site) url(path string) string { return "http://" + s.Address.Addr().String() + path }

// EnrolURL is what option 224 carries.
func (s Site) EnrolURL() string {
	return fmt.Sprintf("https://%s:%d", s.Address.Addr(), api.PortEnrol)
}

// Decide answers a request.
func Decide(f wire.Facts, m Machine, s Site) Answer {
	if why := silent(f, m, s); why != nil {
		return Answer{Event: *why}
	}
	if f.Type == dhcpv4.MessageTypeRequest && wrongAddress(f, m) {
		return refuse(f, m, s)
	}
	a := Answer{Reply: wire.Reply{Type: replyType(f), Options: dhcpv4.Options{}}}
	if f.Type != dhcpv4.MessageTypeInform { // who informs has an address (RFC 2131 section 4.3.5)
		a.Reply.YourIP = m.Address.As4()
		network(a.Reply.Options, s)
	}
	a.Reply.Options[54] = s.Address.Addr().AsSlice()
	a.boot(f, s)
	a.To, a.IP = destination(f)
	if m.Repeats >= LoopLimit && a.Stage != StageAddress {
		a.Event = fmt.Sprintf("asked %d times in %s for %s without getting further: watch its console", m.Repeats, LoopWindow, a.Stage)
	}
	return a
}

// silent says why there is no answer; nil: there is one. The text is empty
// where silence is ordinary.
func silent(f wire.Facts, m Machine, s Site) *string {
	say := func(format string, args ...any) *string { t := fmt.Sprintf(format, args...); return &t }
	ours := s.Address.Addr()
	switch f.Type {
	case dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeInform:
	case dhcpv4.MessageTypeDecline:
		return say("declined %s: another device uses that address", f.Requested)
	default:
		return say("")
	}
	switch {
	case f.ServerID.IsValid() && f.ServerID != ours: // A8
		return say("took another DHCP server's offer (%s)", f.ServerID)
	case !m.Known && s.DenyUnknown && f.Client == wire.Plain: // A35
		return say("unknown machine: no address for it; add it to the site's machines")
	case !m.Address.IsValid():
		return say("no address left in the pool: add the machine to the site's machines")
	case f.Client == wire.PXE:
		return say("firmware asks for PXE over TFTP (%s), which is not served: switch it to UEFI HTTP boot, or give it an iPXE ROM", wire.ArchName(f.Arch))
	case f.Client == wire.IPXE && f.IPXE.Listed && !f.IPXE.HTTP: // A17
		return say("its iPXE has no HTTP: give it a newer iPXE")
	case f.Client == wire.HTTP && wire.ArchName(f.Arch) != "x64":
		return say("firmware is %s (architecture %d); the image is x64", wire.ArchName(f.Arch), f.Arch)
	}
	return nil
}

// wrongAddress tells whether a client believes in an address that is not its.
func wrongAddress(f wire.Facts, m Machine) bool {
	if f.Requested.IsValid() {
		return f.Requested != m.Address
	}
	return f.ClientIP.IsValid() && f.ClientIP != m.Address
}

// refuse is a NAK: only on our own network, and broadcast (RFC 2131 section
// 4.3.2, A8); firmware is left alone, it starts over by itself.
func refuse(f wire.Facts, m Machine, s Site) Answer {
	asked := f.Requested
	if !asked.IsValid() {
		asked = f.ClientIP
	}
	event := fmt.Sprintf("asked for %s, its address is %s", asked, m.Address)
	if f.Client != wire.Plain {
		return Answer{Event: event}
	}
	a := Answer{Event: event, To: Broadcast, Reply: wire.Reply{
		Type:    dhcpv4.MessageTypeNak,
		Options: dhcpv4.Options{54: s.Address.Addr().AsSlice()},
	}}
	if f.Relay.IsValid() {
		a.To, a.IP = Relay, f.Relay
	}
	return a
}

func replyType(f wire.Facts) dhcpv4.MessageType {
	if f.Type == dhcpv4.MessageTypeDiscover {
		return dhcpv4.MessageTypeOffer
	}
	return dhcpv4.MessageTypeAck
}

// network fills in the lease: 51, 1, 28, 3, 42.
func network(o dhcpv4.Options, s Site) {
	ours := s.Address.Addr().AsSlice()
	mask := ^uint32(0) << (32 - s.Address.Bits())
	o[51] = binary.BigEndian.AppendUint32(nil, uint32(s.Lease/time.Second))
	o[1] = binary.BigEndian.AppendUint32(nil, mask)
	o[28] = binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(ours)|^mask)
	o[42] = ours
	if s.Gateway.IsValid() {
		o[3] = s.Gateway.AsSlice()
	}
}

// destination is RFC 2131 section 4.1's table, with 4011's unicast (A3, A5, A6).
func destination(f wire.Facts) (To, netip.Addr) {
	switch {
	case f.Relay.IsValid():
		return Relay, f.Relay
	case f.ClientIP.IsValid():
		return Address, f.ClientIP
	case f.Broadcast:
		return Broadcast, netip.Addr{}
	}
	return Hardware, netip.Addr{}
}
