package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ingot-os/ingot/api"
)

// show prints v as JSON, or as rows under a head.
func (c *call) show(v any, head string, rows [][]string) error {
	if c.json {
		return c.showJSON(v)
	}
	return columns(c.stdout, head, rows)
}

func (c *call) showJSON(v any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func columns(w io.Writer, head string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if head != "" {
		fmt.Fprintln(tw, strings.ReplaceAll(head, " ", "\t"))
	}
	for _, r := range rows {
		for i, cell := range r {
			if cell == "" {
				r[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	return tw.Flush()
}

// list makes empty lists "[]" in JSON.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return span(time.Since(t))
}

// span words a duration in one unit, as people say it.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

// roles joins roles in the order of api.NodeRoles, others behind.
func roles(rs []api.Role) string {
	rs = slices.Clone(rs)
	rank := func(r api.Role) int {
		if i := slices.Index(api.NodeRoles, r); i >= 0 {
			return i
		}
		return len(api.NodeRoles)
	}
	slices.SortStableFunc(rs, func(a, b api.Role) int { return rank(a) - rank(b) })
	var s []string
	for _, r := range rs {
		s = append(s, string(r))
	}
	return strings.Join(s, "+")
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
