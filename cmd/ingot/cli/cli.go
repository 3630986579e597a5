// Package cli is the command line `ingot NOUN VERB [ID] [--node N] [--json]`.
//
// It owns the table of verbs (verbs.go), their help, the way to the site they
// speak to, and how things are shown: data on standard output, talk on standard
// error, one line for an error that says what exists or what to do next. What a
// verb does over the wire is in api/client; what it does to this machine is in
// image, provisioner and qemu-tests/rack. It refuses decisions of theirs.
//
// One file holds one noun, or one verb where a verb is large (up, status).
//
// Exit codes: 0 done; 1 it did not work; 2 the command line is wrong;
// 3 `ingot status` found something wrong.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/ingot-os/ingot/api"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitWrong  = 3
)

// call is one use of a verb.
type call struct {
	args   []string
	json   bool
	site   string // --site, or empty
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// action is what a verb does once its flags are read.
type action func(ctx context.Context, c *call) error

// usageError is a wrong command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// errWrong ends `ingot status` when it has shown something wrong.
var errWrong = errors.New("something is wrong")

// Run does what args ask for and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 || isHelp(args[0]) {
		return help(args, stdout, stderr)
	}
	v, rest, err := find(args)
	if err != nil {
		return tell(stderr, err)
	}
	c := &call{stdin: stdin, stdout: stdout, stderr: stderr}
	act, err := v.parse(rest, c)
	if errors.Is(err, flag.ErrHelp) {
		v.page(stdout)
		return exitDone
	}
	if err == nil {
		err = act(ctx, c)
	}
	return tell(stderr, err)
}

// tell prints an error as one line and returns the exit code for it.
func tell(w io.Writer, err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errWrong):
		return exitWrong
	case errors.As(err, &usage):
		fmt.Fprintf(w, "ingot: %s\n", oneLine(err))
		return exitUsage
	default:
		fmt.Fprintf(w, "ingot: %s\n", oneLine(err))
		return exitFailed
	}
}

// oneLine words an error; a server's hint stands behind a semicolon.
func oneLine(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*api.Error](err); ok && e.Hint != "" {
		bare := *e
		bare.Hint = ""
		text = strings.Replace(text, e.Error(), bare.Error()+"; "+e.Hint, 1)
	}
	return strings.Join(strings.Fields(text), " ")
}

// find takes the verb off the front of args.
func find(args []string) (*verb, []string, error) {
	verbs := table()
	noun := args[0]
	for i := range verbs {
		v := &verbs[i]
		if v.name == noun {
			return v, args[1:], nil
		}
		if len(args) > 1 && v.name == noun+" "+args[1] {
			return v, args[2:], nil
		}
	}
	var known []string
	for _, v := range verbs {
		if rest, ok := strings.CutPrefix(v.name, noun+" "); ok && !v.hidden {
			known = append(known, rest)
		}
	}
	switch {
	case len(known) > 0 && len(args) > 1 && !strings.HasPrefix(args[1], "-"):
		return nil, nil, usagef("no verb %q for %s; verbs are %s", args[1], noun, strings.Join(known, ", "))
	case len(known) > 0:
		return nil, nil, usagef("%s needs a verb; verbs are %s", noun, strings.Join(known, ", "))
	}
	return nil, nil, usagef("no command %q; commands are %s (ingot help)", noun, strings.Join(nouns(verbs), ", "))
}

// nouns lists the first words, in the table's order.
func nouns(verbs []verb) []string {
	var names []string
	seen := map[string]bool{}
	for _, v := range verbs {
		noun, _, _ := strings.Cut(v.name, " ")
		if !v.hidden && !seen[noun] {
			names, seen[noun] = append(names, noun), true
		}
	}
	return names
}
