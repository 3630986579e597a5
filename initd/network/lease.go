package network

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/api"
)

// lease is what a DHCP server granted, with its times as instants of the
// monotonic clock: the wall clock may be stepped while it runs.
type lease struct {
	ack    *dhcpv4.DHCPv4
	server net.IP
	addr   net.IPNet
	routes []net.IP // default routers, best first

	renew, rebind, end time.Time // T1, T2 and expiry (RFC 2131 section 4.4.5)
}

// readLease checks an ACK that came at now for a request sent at sent: the
// times count from the sending.
func readLease(ack *dhcpv4.DHCPv4, sent time.Time) (*lease, error) {
	ip := ack.YourIPAddr.To4()
	if ip == nil || ip.IsUnspecified() {
		return nil, fmt.Errorf("DHCP answer of %s gives no address", ack.ServerIdentifier())
	}
	mask := ack.SubnetMask()
	if ones, bits := mask.Size(); bits != 32 || ones == 0 {
		return nil, fmt.Errorf("DHCP answer of %s gives %s no usable subnet mask (option 1)", ack.ServerIdentifier(), ip)
	}
	l := &lease{ack: ack, server: ack.ServerIdentifier(), addr: net.IPNet{IP: ip, Mask: mask}}
	for _, r := range ack.Router() {
		if l.addr.Contains(r) {
			l.routes = append(l.routes, r)
		}
	}
	whole := ack.IPAddressLeaseTime(time.Hour)
	t2 := ordered(ack.IPAddressRebindingTime(0), whole, whole*7/8)
	t1 := ordered(ack.IPAddressRenewalTime(0), t2, min(whole/2, t2))
	l.renew, l.rebind, l.end = sent.Add(t1), sent.Add(t2), sent.Add(whole)
	return l, nil
}

// ordered is d where 0 < d <= limit, else instead: servers send nonsense.
func ordered(d, limit, instead time.Duration) time.Duration {
	if d <= 0 || d > limit {
		return instead
	}
	return d
}

// step is what a lease asks for at an instant.
type step int

const (
	stepWait   step = iota // until the instant given
	stepRenew              // ask the server that granted it
	stepRebind             // ask any server
	stepAgain              // over: give up the address and start again
)

// next says what l asks for at now, and until when that holds. Retries come at
// half of the time that remains, but never closer than pause (RFC 2131 says 60 s;
// short leases of a lab need less). tried is when the last try ended.
func (l *lease) next(now, tried time.Time, pause time.Duration) (step, time.Time) {
	phase, until := stepRenew, l.rebind
	switch {
	case !now.Before(l.end):
		return stepAgain, now
	case now.Before(l.renew):
		return stepWait, l.renew
	case !now.Before(l.rebind):
		phase, until = stepRebind, l.end
	}
	if tried.Before(l.renew) || (phase == stepRebind && tried.Before(l.rebind)) {
		return phase, until // first try of this phase
	}
	at := tried.Add(max(until.Sub(tried)/2, pause))
	switch {
	case !now.Before(at):
		return phase, until
	case at.After(until):
		return stepWait, until
	}
	return stepWait, at
}

// state is network.json for this lease.
func (l *lease) state(ifname string, mac net.HardwareAddr) State {
	ones, _ := l.addr.Mask.Size()
	s := State{
		Interface: ifname, MAC: mac.String(), Address: l.addr.IP.String(), Prefix: ones,
		Site: strings.TrimRight(string(l.ack.Options.Get(dhcpv4.GenericOptionCode(api.DHCPOptionSite))), "\x00 \n"),
	}
	if len(l.routes) > 0 {
		s.Gateway = l.routes[0].String()
	}
	return s
}

// resolvConf is resolv.conf for this lease (resolv.conf(5): three servers count).
func (l *lease) resolvConf() []byte {
	var b strings.Builder
	b.WriteString("# from DHCP server " + l.server.String() + "\n")
	for i, s := range l.ack.DNS() {
		if i < 3 {
			b.WriteString("nameserver " + s.String() + "\n")
		}
	}
	if d := domain(l.ack.DomainName()); d != "" {
		b.WriteString("search " + d + "\n")
	}
	return []byte(b.String())
}

// domain lets through only what can stand in one word of resolv.conf: the text
// comes from whoever answered first on the wire.
func domain(s string) string {
	s = strings.TrimRight(s, "\x00")
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	}
	if strings.ContainsFunc(s, bad) {
		return ""
	}
	return s
}
