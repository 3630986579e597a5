package cli

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

func isHelp(s string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, s)
}

// help answers `ingot`, `ingot help` and `ingot help VERB`.
func help(args []string, stdout, stderr io.Writer) int {
	if len(args) > 1 {
		v, _, err := find(args[1:])
		if err != nil {
			return tell(stderr, err)
		}
		v.page(stdout)
		return exitDone
	}
	if len(args) == 0 {
		overview(stderr)
		return exitUsage
	}
	overview(stdout)
	return exitDone
}

// overview is the front page: every verb by task, with an example each.
func overview(w io.Writer) {
	fmt.Fprint(w, "ingot builds clusters out of bare machines and speaks to them.\n\n  ingot NOUN VERB [ID] [--node N] [--json]\n")
	for _, g := range []string{groupRack, groupLook, groupRun, groupService, groupImage} {
		fmt.Fprintf(w, "\n%s\n", g)
		for _, v := range table() {
			if v.group == g && !v.hidden {
				fmt.Fprintf(w, "  %-24s %s\n  %-24s   %s\n", strings.TrimSpace(v.name+" "+v.args), v.short, "", v.example)
			}
		}
	}
	fmt.Fprint(w, "\ningot VERB --help shows the flags.\n")
	exitCodes(w)
}

func exitCodes(w io.Writer) {
	fmt.Fprint(w, "Exit codes: 0 done, 1 it did not work, 2 wrong command line, 3 status found something wrong.\n")
}

// page is the help of one verb.
func (v *verb) page(w io.Writer) {
	fmt.Fprintf(w, "ingot %s [flags]: %s\n", strings.TrimSpace(v.name+" "+v.args), v.short)
	if v.long != "" {
		fmt.Fprintf(w, "\n%s\n", v.long)
	}
	fmt.Fprintf(w, "\nExample:\n  %s\n\nFlags:\n", v.example)
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	v.flags(fs, &call{})
	fs.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			text += fmt.Sprintf(" (else %s)", f.DefValue)
		}
		fmt.Fprintf(w, "  %-18s %s\n", strings.TrimSpace("--"+f.Name+" "+kind), text)
	})
	fmt.Fprintln(w)
	exitCodes(w)
}
