package control

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/boot/event"
	"github.com/ingot-os/ingot/initd/cgroup"
)

// List is all units with the memory of their processes.
func (n *Node) List(ctx context.Context) ([]api.UnitStatus, error) {
	list, err := n.Units.Units(ctx)
	if err != nil {
		return nil, err
	}
	pss := pssByUnit()
	for i := range list {
		list[i].PssKB = pss[list[i].Unit]
	}
	return list, nil
}

// Show is one unit with the memory of its processes.
func (n *Node) Show(ctx context.Context, name string) (api.UnitStatus, error) {
	u, err := n.Units.Unit(ctx, name)
	if err == nil {
		u.PssKB = pssByUnit()[name]
	}
	return u, err
}

// pssByUnit sums the proportional set sizes of all processes by unit, leftovers
// of earlier invocations included.
func pssByUnit() map[string]int64 {
	out := map[string]int64{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if unit, _, ok := cgroup.Of(pid); ok {
			out[unit] += fields(filepath.Join("/proc", e.Name(), "smaps_rollup"))["Pss"]
		}
	}
	return out
}

// fields reads "Name:  123 kB" lines.
func fields(file string) map[string]int64 {
	text, _ := os.ReadFile(file) // a process that ended has no memory
	out := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, ":")
		if f := strings.Fields(rest); ok && len(f) > 0 {
			out[name], _ = strconv.ParseInt(f[0], 10, 64)
		}
	}
	return out
}

// Status is the node on one screen.
func (n *Node) Status(ctx context.Context) (api.NodeStatus, error) {
	list, err := n.Units.Units(ctx)
	if err != nil {
		return api.NodeStatus{}, err
	}
	st := api.NodeStatus{InitUS: n.InitUS, UptimeUS: event.BootTime().Microseconds(), Clock: "unsynchronized"}
	n.identity(&st)
	n.network(&st)
	n.clock(&st)
	memory(&st)
	judge(&st, list)
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	st.BootID = strings.TrimSpace(string(id))
	return st, nil
}

func memory(st *api.NodeStatus) {
	m := fields("/proc/meminfo")
	st.MemTotal = m["MemTotal"] << 10
	st.MemUsed = (m["MemTotal"] - m["MemAvailable"]) << 10
}

// identity fills in what enrolment and the image say.
func (n *Node) identity(st *api.NodeStatus) {
	var id api.NodeIdentity
	if readJSON(filepath.Join(n.Run, "identity/node.json"), &id) == nil {
		st.Name, st.Roles = id.Name, id.Roles
	}
	var release struct{ Version string }
	if readJSON("/etc/ingot/release.json", &release) == nil {
		st.Version = release.Version
	}
	if b, err := os.ReadFile(api.ImageFile); err == nil {
		st.Image = string(b)
	}
}

func (n *Node) network(st *api.NodeStatus) {
	var nw struct {
		Address string
		Prefix  int
	}
	if readJSON(filepath.Join(n.Run, "network.json"), &nw) == nil && nw.Address != "" {
		st.Addresses = append(st.Addresses, fmt.Sprintf("%s/%d", nw.Address, nw.Prefix))
	}
}

func (n *Node) clock(st *api.NodeStatus) {
	var c struct{ Synchronized bool }
	if readJSON(filepath.Join(n.Run, "clock.json"), &c) == nil && c.Synchronized {
		st.Clock = "synchronized"
	}
}

func readJSON(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// judge fills in state, targets and problems from the units.
func judge(st *api.NodeStatus, list []api.UnitStatus) {
	st.State = "running"
	for _, u := range list {
		if strings.HasSuffix(u.Unit, ".target") && u.Active != "inactive" {
			st.Targets = append(st.Targets, u)
		}
		if u.Active == "activating" {
			st.State = "starting"
		}
		switch {
		case u.Active == "failed" || u.Load == "error":
			st.Problems = append(st.Problems, problem(u, "has failed"))
		case u.Sub == "auto-restart":
			st.Problems = append(st.Problems, problem(u, "keeps ending"))
		}
	}
	if len(st.Problems) > 0 && st.State == "running" {
		st.State = "degraded"
	}
}

func problem(u api.UnitStatus, what string) api.Problem {
	text := u.Unit + " " + what
	if u.Error != "" {
		text += ": " + u.Error
	}
	if u.Since.IsZero() {
		u.Since = time.Now().UTC()
	}
	return api.Problem{What: text, Since: u.Since, Next: "ingot log show " + u.Unit}
}
