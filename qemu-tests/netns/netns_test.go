package netns

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestSpaceWithTap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs /dev/net/tun (modprobe tun)")
	}
	const name = "ingot-netns-test"
	if err := Remove(name); err != nil {
		t.Fatal(err)
	}
	s, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Remove(name); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir + "/" + name); !os.IsNotExist(err) {
			t.Errorf("the name is still there: %v", err)
		}
	}()
	if _, err := Create(name); err == nil {
		t.Fatal("the same name twice is no error")
	}
	tap, err := s.Tap("tap0", netip.MustParsePrefix("10.77.0.1/24"))
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	var l net.Listener
	err = s.Do(func() (err error) { l, err = net.Listen("tcp", "10.77.0.1:80"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := s.Dial(t.Context(), "tcp", "10.77.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := net.Listen("tcp", "10.77.0.1:0"); err == nil {
		t.Fatal("the namespace's address is there outside as well")
	}
}
