package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/ingot-os/ingot/api"
)

// One round of DISCOVER: the first packet at once, again after 0.5, 1.5, 3.5 s,
// then the round is given up and said to the log. RFC 2131 section 4.1 begins
// with 4 s, made for 10 Mbit/s; a switch that is still learning loses the first
// packet, and boot time is what a person waits for.
const (
	firstWait = 500 * time.Millisecond
	tries     = 4
)

// errSilence is a network on which nobody answers DHCP.
var errSilence = errors.New("no DHCP answer")

// ask is what each request of ours carries.
var ask = []dhcpv4.Modifier{
	dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName,
		dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue, dhcpv4.GenericOptionCode(api.DHCPOptionSite)),
	dhcpv4.WithOption(dhcpv4.OptClassIdentifier("ingot")),
}

// acquire does DISCOVER, OFFER, REQUEST, ACK once (RFC 2131 section 3.1).
func acquire(ctx context.Context, ifname string) (*lease, error) {
	c, err := nclient4.New(ifname, nclient4.WithTimeout(firstWait), nclient4.WithRetry(tries))
	if err != nil {
		return nil, fmt.Errorf("open DHCP client on %s: %w", ifname, err)
	}
	defer c.Close()
	offer, err := c.DiscoverOffer(ctx, ask...)
	if err != nil {
		return nil, said(err, ifname)
	}
	sent := time.Now()
	got, err := c.RequestFromOffer(ctx, offer, ask...)
	if err != nil {
		return nil, said(err, ifname)
	}
	return readLease(got.ACK, sent)
}

// prolong asks for more time: renewing by unicast from the address itself,
// rebinding by broadcast (RFC 2131 section 4.3.2).
func prolong(ctx context.Context, ifname string, l *lease, s step) (*lease, error) {
	c, to, err := prolongClient(ifname, l, s)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	req, err := dhcpv4.NewRenewFromAck(l.ack, ask...)
	if err != nil {
		return nil, fmt.Errorf("make DHCP request: %w", err)
	}
	sent := time.Now()
	ack, err := c.SendAndRead(ctx, to, req, nclient4.IsMessageType(dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak))
	if err != nil {
		return nil, said(err, ifname)
	}
	if ack.MessageType() == dhcpv4.MessageTypeNak {
		return nil, &nclient4.ErrNak{Offer: l.ack, Nak: ack}
	}
	return readLease(ack, sent)
}

func prolongClient(ifname string, l *lease, s step) (*nclient4.Client, *net.UDPAddr, error) {
	opts := []nclient4.ClientOpt{nclient4.WithTimeout(2 * firstWait), nclient4.WithRetry(2)}
	to := nclient4.DefaultServers
	if s == stepRenew {
		to = &net.UDPAddr{IP: l.server, Port: nclient4.ServerPort}
		opts = append(opts, nclient4.WithUnicast(&net.UDPAddr{IP: l.addr.IP, Port: nclient4.ClientPort}))
	}
	c, err := nclient4.New(ifname, opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("open DHCP client on %s: %w", ifname, err)
	}
	return c, to, nil
}

// said puts the client's errors into words of ours.
func said(err error, ifname string) error {
	if errors.Is(err, nclient4.ErrNoResponse) {
		return fmt.Errorf("%w on %s", errSilence, ifname)
	}
	return fmt.Errorf("ask for an address on %s: %w", ifname, err)
}

// refused tells whether a server said no: the address must not be used any more.
func refused(err error) bool {
	_, nak := errors.AsType[*nclient4.ErrNak](err)
	return nak
}
