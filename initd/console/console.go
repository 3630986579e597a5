// Package console speaks a few reading verbs over the machine's serial line:
// what is this node, what is wrong, what do its units say. It is no shell: it
// starts no program and changes nothing.
//
// Run is one goroutine, its caller's; it ends when the line does.
package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/initd/control"
	"github.com/ingot-os/ingot/initd/journal"
)

const prompt = "ingot> "

// Run serves a terminal device.
func Run(ctx context.Context, device string, n *control.Node) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("open console: %w", err)
	}
	defer f.Close()
	return Serve(ctx, f, n)
}

// Serve answers lines from rw until it ends.
func Serve(ctx context.Context, rw io.ReadWriter, n *control.Node) error {
	s := &session{n: n, out: bufio.NewWriter(rw)}
	s.banner(ctx)
	lines := bufio.NewScanner(rw)
	for s.flush(); lines.Scan(); s.flush() {
		s.line(ctx, strings.Fields(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read console: %w", err)
	}
	return nil
}

type session struct {
	n   *control.Node
	out *bufio.Writer
}

func (s *session) flush() {
	s.out.WriteString(prompt)
	s.out.Flush()
}

func (s *session) printf(format string, args ...any) {
	fmt.Fprintf(s.out, format, args...)
}

// verb is one row of the console's language.
type verb struct {
	words string
	help  string
	run   func(s *session, ctx context.Context, arg string) error
}

func verbs() []verb {
	return []verb{
		{"status", "what this node is, and what is wrong", (*session).status},
		{"unit ls", "all units that are or were up", (*session).list},
		{"unit show", "ID: one unit", (*session).show},
		{"log show", "[ID]: the last records, of one unit or all", (*session).log},
		{"help", "this list", (*session).help},
	}
}

func (s *session) line(ctx context.Context, words []string) {
	if len(words) == 0 {
		return
	}
	for _, v := range verbs() {
		want := strings.Fields(v.words)
		if len(words) >= len(want) && strings.Join(words[:len(want)], " ") == v.words {
			arg := strings.Join(words[len(want):], " ")
			if err := v.run(s, ctx, arg); err != nil {
				s.printf("%v\n", err)
			}
			return
		}
	}
	s.printf("%q is no verb here; try help\n", strings.Join(words, " "))
}

func (s *session) help(context.Context, string) error {
	for _, v := range verbs() {
		s.printf("  %-10s %s\n", v.words, v.help)
	}
	return nil
}

func (s *session) banner(ctx context.Context) {
	s.printf("\n")
	if err := s.status(ctx, ""); err != nil {
		s.printf("%v\n", err)
	}
}

func (s *session) status(ctx context.Context, _ string) error {
	st, err := s.n.Status(ctx)
	if err != nil {
		return err
	}
	name := st.Name
	if name == "" {
		name = "not enrolled"
	}
	s.printf("Ingot %s, node %s %v, %s\n", st.Version, name, st.Roles, st.State)
	s.printf("  addresses %v, clock %s, memory %d of %d MiB used, up %d s\n",
		st.Addresses, st.Clock, st.MemUsed>>20, st.MemTotal>>20, st.UptimeUS/1e6)
	for _, p := range st.Problems {
		s.printf("  problem: %s (since %s) -> %s\n", p.What, p.Since.Format("15:04:05"), p.Next)
	}
	return nil
}

func (s *session) list(ctx context.Context, _ string) error {
	units, err := s.n.List(ctx)
	if err != nil {
		return err
	}
	s.printf("%-28s %-12s %-13s %6s %8s\n", "UNIT", "ACTIVE", "SUB", "PID", "PSS KB")
	for _, u := range units {
		if u.Active != "inactive" || u.Invocation != "" {
			s.printf("%-28s %-12s %-13s %6d %8d\n", u.Unit, u.Active, u.Sub, u.MainPID, u.PssKB)
		}
	}
	return nil
}

func (s *session) show(ctx context.Context, id string) error {
	u, err := s.n.Show(ctx, id)
	if err != nil {
		return err
	}
	s.printf("%s: %s\n  %s (%s) since %s, result %s\n  main process %d, restarts %d, pss %d KB\n  started %d ms, active %d ms after power-on\n",
		u.Unit, u.Description, u.Active, u.Sub, u.Since.Format("2006-01-02 15:04:05"), u.Result, u.MainPID, u.Restarts, u.PssKB,
		u.StartedUS/1000, u.ActiveUS/1000)
	if u.Error != "" {
		s.printf("  error: %s\n", u.Error)
	}
	for _, w := range u.Warnings {
		s.printf("  warning: %s\n", w)
	}
	return nil
}

func (s *session) log(ctx context.Context, id string) error {
	return s.n.Journal.Read(ctx, journal.Query{Unit: id, Lines: 40}, func(e api.LogEntry) error {
		s.printf("%s %s <%d> %s\n", e.Time.Format("15:04:05.000"), e.Unit, e.Priority, e.Message)
		return nil
	})
}
