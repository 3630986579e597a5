package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/client"
	"github.com/ingot-os/ingot/boot/manifest"
)

// seen is what a node says of itself at the end.
type seen struct {
	status api.NodeStatus
	units  []api.UnitStatus
}

// report prints the machines, the way to the app, where the time went, and the
// figures, each on a line of its own for whoever collects them.
func (r *rise) report(ctx context.Context) error {
	total := r.spent.total()
	r.spent.machines(r.courses)
	nodes, err := r.look(ctx)
	if err != nil {
		return err
	}
	w := r.c.stdout
	var rows [][]string
	for _, m := range r.machines {
		rows = append(rows, r.machineRow(r.courses[m.Name], nodes[m.Name]))
	}
	fmt.Fprintln(w)
	if err := columns(w, "MACHINE ROLES FIRMWARE ADDRESS ON→INIT CPU INIT→TARGET MEMORY", rows); err != nil {
		return err
	}
	if err := r.way(); err != nil {
		return err
	}
	if !r.was {
		fmt.Fprintln(w)
		if err := columns(w, "PHASE TIME", r.phaseRows(total)); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	printFigures(w, r.figures(total, nodes))
	return nil
}

// look asks every node how it is.
func (r *rise) look(ctx context.Context) (map[string]seen, error) {
	answers, err := each(ctx, r.cluster, "", func(ctx context.Context, n *client.Node) (s seen, err error) {
		if s.status, err = n.Status(ctx); err != nil {
			return s, err
		}
		s.units, err = n.Units(ctx)
		return s, err
	})
	if err != nil {
		return nil, err
	}
	nodes := map[string]seen{}
	for _, a := range answers {
		if a.err != nil {
			return nil, fmt.Errorf("ask node %s: %w", a.node, a.err)
		}
		nodes[a.node] = a.value
	}
	return nodes, nil
}

func (r *rise) machineRow(m *course, n seen) []string {
	memory := ""
	if n.status.MemTotal > 0 {
		memory = mib(n.status.MemUsed) + " of " + mib(n.status.MemTotal)
	}
	return []string{
		m.machine.Name, roles(m.machine.Roles), string(m.machine.Firmware), m.machine.Address.String(),
		secs(m.init.Sub(m.powered)), secs(m.initCPU), secs(m.toTarget()), memory,
	}
}

// toTarget is the time from init to the last of the machine's role targets, by
// the machine's own clock.
func (m *course) toTarget() time.Duration {
	var last int64
	for _, us := range m.targets {
		last = max(last, us)
	}
	return micros(last - m.initUS)
}

func secs(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// way prints how to reach the app: the URL, the token, and a line to paste.
func (r *rise) way() error {
	s, err := readSite(r.siteDir())
	if err != nil {
		return err
	}
	w := r.c.stdout
	if r.app.service() != "" {
		fmt.Fprintf(w, "\nURL    %s\nTOKEN  %s\nTRY    curl --cacert %s -H \"Authorization: token=$(cat %s)\" %s\n",
			r.url(), s.Token, nearby(filepath.Join(r.siteDir(), "ca", "ca.crt")), nearby(filepath.Join(r.siteDir(), tokenName)), r.url())
	}
	return nil
}

func (r *rise) phaseRows(total time.Duration) [][]string {
	var rows [][]string
	for _, p := range phaseOrder {
		if d, ok := r.spent.by[p]; ok {
			rows = append(rows, []string{p, fmt.Sprintf("%6.1f s", d.Seconds())})
		}
	}
	return append(rows, []string{"total", fmt.Sprintf("%6.1f s", total.Seconds())})
}

// figure is one number of docs/figures.md.
type figure struct {
	name   string
	value  float64
	digits int
	unit   string
}

func printFigures(w io.Writer, all []figure) {
	for _, f := range all {
		fmt.Fprintf(w, "%s %.*f %s\n", f.name, f.digits, f.value, f.unit)
	}
}

func (r *rise) figures(total time.Duration, nodes map[string]seen) []figure {
	var all []figure
	if !r.was {
		all = r.spent.figures(total)
	}
	for _, m := range r.machines {
		if len(m.Roles) > 0 {
			all = append(all, machineFigures(r.courses[m.Name], nodes[m.Name])...)
		}
	}
	return append(all, r.imageFigures()...)
}

// figures are the whole and, apart, each phase.
func (s *spent) figures(total time.Duration) []figure {
	all := []figure{{"up_total", total.Seconds(), 1, "s"}}
	for _, p := range phaseOrder {
		if d, ok := s.by[p]; ok {
			all = append(all, figure{"up_" + strings.NewReplacer(" ", "_", "+", "_").Replace(p), d.Seconds(), 1, "s"})
		}
	}
	return all
}

func machineFigures(m *course, n seen) []figure {
	name := m.machine.Name
	all := []figure{{"power_on_to_init_" + name, m.init.Sub(m.powered).Seconds(), 1, "s"}}
	if m.initCPU > 0 {
		all = append(all, figure{"power_on_to_init_cpu_" + name, m.initCPU.Seconds(), 1, "s"})
	}
	for _, role := range m.machine.Roles {
		us := m.targets[role.Target()] - m.initUS
		all = append(all, figure{fmt.Sprintf("init_to_target_%s_%s", role, name), micros(us).Seconds(), 2, "s"})
	}
	all = append(all, unitFigures(name, n.units)...)
	if n.status.MemTotal > 0 {
		all = append(all, figure{fmt.Sprintf("mem_used_%s_%s", roles(m.machine.Roles), name), float64(n.status.MemUsed) / 1e6, 1, "MB"})
	}
	for _, u := range n.units {
		if unit := strings.TrimSuffix(u.Unit, ".service"); u.PssKB > 0 {
			all = append(all, figure{fmt.Sprintf("pss_%s_%s", unit, name), float64(u.PssKB) * 1024 / 1e6, 1, "MB"})
		}
	}
	return all
}

// unitFigures say where the time from init to the targets goes: what each
// service took from its start until it was active, in the order of the starts.
func unitFigures(machine string, units []api.UnitStatus) []figure {
	units = slices.Clone(units)
	slices.SortStableFunc(units, func(a, b api.UnitStatus) int { return cmp.Compare(a.StartedUS, b.StartedUS) })
	var all []figure
	for _, u := range units {
		unit, service := strings.CutSuffix(u.Unit, ".service")
		if service && u.StartedUS > 0 && u.ActiveUS >= u.StartedUS {
			all = append(all, figure{fmt.Sprintf("unit_%s_%s", unit, machine), micros(u.ActiveUS - u.StartedUS).Seconds(), 2, "s"})
		}
	}
	return all
}

// imageFigures are the sizes of what was booted.
func (r *rise) imageFigures() []figure {
	m, err := manifest.Read(r.image)
	if err != nil {
		return nil // a rack that outlived its image's folder
	}
	var all []figure
	for _, x := range []struct{ name, file string }{{"image_size", "ingot.efi"}, {"initrd_size", "initrd"}} {
		if f, ok := m.Lookup(x.file); ok {
			all = append(all, figure{x.name, float64(f.Size) / 1e6, 1, "MB"})
		}
	}
	return all
}

// nearby words a path as it looks from here, where that is shorter.
func nearby(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(here, path)
	if err != nil || len(rel) > len(path) {
		return path
	}
	return rel
}
