package bridge

import (
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// render replaces the table "ingot" by what the leases ask for, in one
// transaction:
//
//	prerouting, output: fib daddr type local PROTO dport HOST dnat to IP:CONTAINER
//	postrouting:        ip saddr SUBNET oifname != ingot0 masquerade
//	                    ip saddr SUBNET oifname ingot0 ct status dnat masquerade
//
// The last rule is for tasks that call each other through the node's address:
// the answer has to pass the node too.
func (n *Network) render() error {
	leases, err := n.leases()
	if err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := c.AddTable(&nftables.Table{Name: "ingot", Family: nftables.TableFamilyIPv4})
	c.FlushTable(t)
	pre := chain(c, t, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	out := chain(c, t, "output", nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
	post := chain(c, t, "postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	for _, l := range leases {
		for _, exprs := range forwards(l) {
			c.AddRule(&nftables.Rule{Table: t, Chain: pre, Exprs: exprs})
			c.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: exprs})
		}
	}
	c.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: leave()})
	c.AddRule(&nftables.Rule{Table: t, Chain: post, Exprs: hairpin()})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set nftables' table ingot: %w", err)
	}
	return nil
}

func chain(c *nftables.Conn, t *nftables.Table, name string, hook *nftables.ChainHook, prio *nftables.ChainPriority) *nftables.Chain {
	return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: prio})
}

// forwards are the port maps of a lease.
func forwards(l Lease) [][]expr.Any {
	var rules [][]expr.Any
	for _, p := range l.Ports {
		for proto := range strings.SplitSeq(p.Protocol, ",") {
			num := byte(unix.IPPROTO_TCP)
			if proto == "udp" {
				num = unix.IPPROTO_UDP
			}
			if p.Host > 0 && p.Container > 0 {
				rules = append(rules, forward(num, uint16(p.Host), l.IP.AsSlice(), uint16(p.Container)))
			}
		}
	}
	return rules
}

func forward(proto byte, from uint16, ip []byte, to uint16) []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(from)},
		&expr.Immediate{Register: 1, Data: ip},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(to)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}

// fromTasks matches packets whose source is in the subnet.
func fromTasks() []expr.Any {
	const sourceAddress = 12 // of the IPv4 header, RFC 791
	mask := ipNet(gateway()).Mask
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceAddress, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: Subnet.Masked().Addr().AsSlice()},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
	}
}

func leave() []expr.Any {
	return append(fromTasks(),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(Name)},
		&expr.Masq{})
}

func hairpin() []expr.Any {
	const dnat = 1 << 5 // IPS_DST_NAT of nf_conntrack_common.h
	return append(fromTasks(),
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(Name)},
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(dnat), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Masq{})
}

// ifname pads a name as the kernel compares it: IFNAMSIZ bytes.
func ifname(s string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, s)
	return b
}
