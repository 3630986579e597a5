package dhcpd

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/ingot-os/ingot/provisioner/policy"
)

// maxHistory bounds what strangers can make us remember.
const maxHistory = 4096

// history counts how often a machine began anew lately (A15). The zero value
// is ready; both read loops see different packets, but only port 67 has
// DISCOVERs, so one goroutine uses it.
type history struct {
	byMAC map[string]*trail
}

type trail struct {
	last dhcpv4.TransactionID
	at   []time.Time
}

// count notes a DISCOVER and returns how many transactions the machine began
// within policy.LoopWindow, this one included; a retransmission is not counted
// again.
func (h *history) count(mac string, xid dhcpv4.TransactionID, now time.Time) int {
	if h.byMAC == nil || len(h.byMAC) >= maxHistory {
		h.byMAC = map[string]*trail{}
	}
	t := h.byMAC[mac]
	if t == nil {
		t = &trail{}
		h.byMAC[mac] = t
	}
	for len(t.at) > 0 && now.Sub(t.at[0]) > policy.LoopWindow {
		t.at = t.at[1:]
	}
	if len(t.at) == 0 || t.last != xid {
		t.last = xid
		t.at = append(t.at, now)
	}
	if len(t.at) > 2*policy.LoopLimit {
		t.at = t.at[1:]
	}
	return len(t.at)
}
