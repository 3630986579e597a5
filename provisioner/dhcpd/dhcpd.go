// Package dhcpd is the DHCP server's shell: sockets on port 67 and 4011 of one
// interface, a read loop for each, and replies sent the way each client can
// hear them. What to answer is policy's decision.
//
// A client without an address gets its reply in a frame to its hardware
// address, not through ARP, as RFC 2131 section 4.1 has it; a broadcast only if
// it asked for one. Goroutines: one per socket, owned by Serve, which returns
// when its context ends and both have. Packets are handled in turn: one takes
// about 0.1 ms.
package dhcpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/packet"

	"github.com/ingot-os/ingot/provisioner/listen"
	"github.com/ingot-os/ingot/provisioner/policy"
	"github.com/ingot-os/ingot/provisioner/wire"
)

// Ports of the protocol.
const (
	portServer = 67
	portClient = 68
	portPXE    = 4011
)

// Server answers on one interface.
type Server struct {
	Site policy.Site
	// Lookup finds (or makes) the record of who asks. Repeats is filled in here.
	Lookup func(wire.Facts) policy.Machine
	// Note hears of each request and what became of it.
	Note func(wire.Facts, policy.Machine, policy.Answer)
	Log  *slog.Logger

	dhcp, pxe *net.UDPConn
	raw       *packet.Conn
	seen      history
}

// Listen opens the sockets on an interface.
func (s *Server) Listen(ctx context.Context, device string) error {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("use interface %q: %w; `ip link` lists them", device, err)
	}
	any4 := netip.IPv4Unspecified()
	if s.dhcp, err = listen.UDP(ctx, device, netip.AddrPortFrom(any4, portServer)); err != nil {
		return err
	}
	if s.pxe, err = listen.UDP(ctx, device, netip.AddrPortFrom(any4, portPXE)); err != nil {
		s.dhcp.Close()
		return err
	}
	if s.raw, err = packet.Listen(ifi, packet.Raw, 0, nil); err != nil { // protocol 0: it only sends
		s.dhcp.Close()
		s.pxe.Close()
		return fmt.Errorf("open a packet socket on %s: %w; run as root", device, err)
	}
	return nil
}

// Close closes the sockets of a server that is not going to Serve.
func (s *Server) Close() {
	s.dhcp.Close()
	s.pxe.Close()
	s.raw.Close()
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, c := range []*net.UDPConn{s.dhcp, s.pxe} {
		port := []int{portServer, portPXE}[i]
		wg.Go(func() { errs[i] = s.read(c, port) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

func (s *Server) read(c *net.UDPConn, port int) error {
	buf := make([]byte, 4096)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			s.Log.Warn("read DHCP packet", "error", err) // ICMP errors come up here
			continue
		}
		req, err := wire.Parse(buf[:n])
		if err != nil {
			s.Log.Debug("dropped a packet", "from", from, "error", err)
			continue
		}
		s.handle(c, from, req, port)
	}
}

func (s *Server) handle(c *net.UDPConn, from netip.AddrPort, req *dhcpv4.DHCPv4, port int) {
	f := wire.FactsOf(req, port)
	m := s.Lookup(f)
	if f.Type == dhcpv4.MessageTypeDiscover {
		m.Repeats = s.seen.count(f.MAC, req.TransactionID, time.Now())
	}
	a := policy.Decide(f, m, s.Site)
	if a.To != policy.Nowhere {
		if err := s.send(c, from, req, port, a); err != nil {
			s.Log.Warn("send DHCP reply", "machine", m.Name, "mac", f.MAC, "error", err)
		}
	}
	s.Note(f, m, a)
}

func (s *Server) send(c *net.UDPConn, from netip.AddrPort, req *dhcpv4.DHCPv4, port int, a policy.Answer) error {
	b := wire.Append(make([]byte, 0, 1024), req, a.Reply)
	to := netip.AddrPortFrom(a.IP, portClient)
	switch {
	case a.To == policy.Relay:
		to = netip.AddrPortFrom(a.IP, portServer)
	case port == portPXE: // A3: back to where it came from
		to = from
	case a.To == policy.Broadcast:
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), portClient)
	case a.To == policy.Hardware:
		return s.sendFrame(req, a, b)
	}
	_, err := c.WriteToUDPAddrPort(b, to)
	return err
}

// sendFrame sends to the client's hardware address; its kernel knows no ARP
// entry for an address it does not have yet.
func (s *Server) sendFrame(req *dhcpv4.DHCPv4, a policy.Answer, payload []byte) error {
	src := netip.AddrPortFrom(s.Site.Address.Addr(), portServer)
	dst := netip.AddrPortFrom(netip.AddrFrom4(a.Reply.YourIP), portClient)
	local, ok := s.raw.LocalAddr().(*packet.Addr)
	if !ok {
		return fmt.Errorf("packet socket's own address is a %T", s.raw.LocalAddr())
	}
	frame := appendFrame(nil, local.HardwareAddr, req.ClientHWAddr, src, dst, payload)
	_, err := s.raw.WriteTo(frame, &packet.Addr{HardwareAddr: req.ClientHWAddr})
	return err
}
