// Package ra answers IPv6 router solicitations with an empty router
// advertisement: no router, no prefix, no address configuration.
//
// Why: iPXE asks for IPv6 routers before it fetches anything and waits about 20
// seconds for nobody; an answer that says "none here" ends the wait at once.
// (RFC 4861 sections 4.1, 4.2, 6.2.6; A19 of the firmware list.) It makes no
// host configure anything. One goroutine, the caller of Serve.
package ra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"github.com/ingot-os/ingot/provisioner/listen"
)

var (
	allRouters = net.ParseIP("ff02::2")
	allNodes   = net.ParseIP("ff02::1")
)

// hopLimit proves that a packet comes from this link (RFC 4861 section 6.1.1).
const hopLimit = 255

// Server answers on one interface.
type Server struct {
	Log  *slog.Logger
	ifi  *net.Interface
	conn net.PacketConn
	p    *ipv6.PacketConn
}

// Listen opens the socket. It fails where IPv6 is switched off: booting still
// works then, only slower.
func (s *Server) Listen(ctx context.Context, device string) error {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("use interface %q: %w", device, err)
	}
	lc := net.ListenConfig{Control: listen.Device(device)}
	c, err := lc.ListenPacket(ctx, "ip6:ipv6-icmp", "::")
	if err != nil {
		return fmt.Errorf("listen for router solicitations on %s: %w", device, err)
	}
	s.ifi, s.conn, s.p = ifi, c, ipv6.NewPacketConn(c)
	if err := s.setup(); err != nil {
		c.Close()
		return fmt.Errorf("listen for router solicitations on %s: %w", device, err)
	}
	return nil
}

func (s *Server) setup() error {
	var f ipv6.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv6.ICMPTypeRouterSolicitation)
	return errors.Join(
		s.p.SetICMPFilter(&f),
		s.p.JoinGroup(s.ifi, &net.IPAddr{IP: allRouters}),
		s.p.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		s.p.SetMulticastHopLimit(hopLimit),
		s.p.SetHopLimit(hopLimit),
		s.p.SetMulticastInterface(s.ifi),
	)
}

// Close closes the socket of a server that is not going to Serve.
func (s *Server) Close() { s.conn.Close() }

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	buf := make([]byte, 1500)
	for {
		n, cm, from, err := s.p.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read router solicitation: %w", err)
		case err != nil:
			s.Log.Warn("read router solicitation", "error", err)
			continue
		}
		if n < 8 || buf[0] != byte(ipv6.ICMPTypeRouterSolicitation) || cm == nil || cm.HopLimit != hopLimit {
			continue
		}
		if err := s.answer(from); err != nil {
			s.Log.Warn("send router advertisement", "to", from, "error", err)
		}
	}
}

func (s *Server) answer(from net.Addr) error {
	to, ok := from.(*net.IPAddr)
	if !ok || to.IP.IsUnspecified() {
		to = &net.IPAddr{IP: allNodes, Zone: s.ifi.Name}
	}
	b, err := advertisement(s.ifi.HardwareAddr)
	if err != nil {
		return err
	}
	_, err = s.p.WriteTo(b, &ipv6.ControlMessage{HopLimit: hopLimit, IfIndex: s.ifi.Index}, to)
	return err
}

// advertisement is an RA that advertises nothing: hop limit unspecified, no
// flags, router lifetime 0 (we route nothing), timers unspecified, and our link
// address. The kernel fills in the checksum.
func advertisement(hw net.HardwareAddr) ([]byte, error) {
	body := make([]byte, 12)
	if len(hw) == 6 {
		const sourceLinkAddress = 1 // RFC 4861 section 4.6.1
		body = append(append(body, sourceLinkAddress, 1), hw...)
	}
	m := icmp.Message{Type: ipv6.ICMPTypeRouterAdvertisement, Body: &icmp.RawBody{Data: body}}
	return m.Marshal(nil)
}
