package network

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/api"
)

func ack(t *testing.T, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	a, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithYourIP(net.IPv4(10, 77, 0, 11)),
		dhcpv4.WithServerIP(net.IPv4(10, 77, 0, 1)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 77, 0, 1))),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
	}, mods...)...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func seconds(code dhcpv4.OptionCode, n uint32) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(code, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
}

func TestLeaseTimes(t *testing.T) {
	for _, c := range []struct {
		name                 string
		whole, t1, t2        uint32
		wantT1, wantT2, want time.Duration
	}{
		{"defaults of RFC 2131", 3600, 0, 0, 1800 * time.Second, 3150 * time.Second, time.Hour},
		{"server's own", 100, 10, 20, 10 * time.Second, 20 * time.Second, 100 * time.Second},
		{"T2 past the end", 100, 10, 200, 10 * time.Second, 87500 * time.Millisecond, 100 * time.Second},
		{"T1 past T2", 100, 60, 30, 30 * time.Second, 30 * time.Second, 100 * time.Second},
	} {
		sent := time.Now()
		l, err := readLease(ack(t, seconds(dhcpv4.OptionIPAddressLeaseTime, c.whole),
			seconds(dhcpv4.OptionRenewTimeValue, c.t1), seconds(dhcpv4.OptionRebindingTimeValue, c.t2)), sent)
		if err != nil {
			t.Fatal(err)
		}
		if l.renew.Sub(sent) != c.wantT1 || l.rebind.Sub(sent) != c.wantT2 || l.end.Sub(sent) != c.want {
			t.Errorf("%s: T1 %v T2 %v end %v", c.name, l.renew.Sub(sent), l.rebind.Sub(sent), l.end.Sub(sent))
		}
	}
}

func TestLeaseNext(t *testing.T) {
	z := time.Now()
	at := func(s int) time.Time { return z.Add(time.Duration(s) * time.Second) }
	l := &lease{renew: at(50), rebind: at(88), end: at(100)}
	for _, c := range []struct {
		name       string
		now, tried int // tried -1: never
		want       step
		until      int
	}{
		{"fresh", 0, -1, stepWait, 50},
		{"T1", 50, -1, stepRenew, 88},
		{"after a try at 50", 51, 51, stepWait, 69}, // half of 37, in whole seconds
		{"that pause over", 70, 51, stepRenew, 88},
		{"near T2 wait for it", 86, 86, stepWait, 88},
		{"T2", 88, 86, stepRebind, 100},
		{"after a try at 89", 90, 90, stepWait, 95},
		{"last try too late", 97, 97, stepWait, 100},
		{"end", 100, 97, stepAgain, 100},
		{"slept through it all", 500, -1, stepAgain, 500},
	} {
		tried := time.Time{}
		if c.tried >= 0 {
			tried = at(c.tried)
		}
		got, until := l.next(at(c.now), tried, 5*time.Second)
		if got != c.want || until.Truncate(time.Second).Sub(at(c.until).Truncate(time.Second)).Abs() > time.Second {
			t.Errorf("%s: step %d until %v, want %d until %ds", c.name, got, until.Sub(z), c.want, c.until)
		}
	}
}

func TestReadLeaseRefuses(t *testing.T) {
	for name, m := range map[string]dhcpv4.Modifier{
		"no address": dhcpv4.WithYourIP(net.IPv4zero),
		"no mask":    dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionSubnetMask, nil)),
	} {
		if _, err := readLease(ack(t, m), time.Now()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLeaseFiles(t *testing.T) {
	l, err := readLease(ack(t,
		dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1), net.IPv4(10, 77, 0, 1)), // the first is not on the link
		dhcpv4.WithDNS(net.IPv4(10, 77, 0, 1)),
		dhcpv4.WithOption(dhcpv4.OptDomainName("rack.example\nnameserver 6.6.6.6")),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(api.DHCPOptionSite), []byte("https://10.77.0.1:7300\x00"))),
	), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	want := State{Interface: "eth0", MAC: "52:54:00:00:00:01", Address: "10.77.0.11", Prefix: 24, Gateway: "10.77.0.1", Site: "https://10.77.0.1:7300"}
	if got := l.state("eth0", mac); got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
	text := string(l.resolvConf())
	if !strings.Contains(text, "nameserver 10.77.0.1\n") || strings.Contains(text, "6.6.6.6") {
		t.Errorf("resolv.conf is %q", text)
	}
}

func TestSiteURL(t *testing.T) {
	for site, ok := range map[string]bool{
		"https://10.77.0.1:7300": true, "": false, "http://10.77.0.1": false, "https://": false, "10.77.0.1": false,
	} {
		if _, err := (State{Site: site}).SiteURL(); (err == nil) != ok {
			t.Errorf("site %q: %v", site, err)
		}
	}
}
