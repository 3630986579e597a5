package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/term"

	"github.com/ingot-os/ingot/qemu-tests/sock"
)

// leaveKey is Ctrl-], as in telnet.
const leaveKey = 0x1d

func nodeConsole(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		dir, err := c.rackDir()
		if err != nil {
			return err
		}
		if names := c.machineNames(); !slices.Contains(names, c.args[0]) {
			return none("machine", c.args[0], names)
		}
		conn, err := sock.Dial(ctx, filepath.Join(dir, "machines", c.args[0], "console.sock"))
		if err != nil {
			return fmt.Errorf("console of %s: it has no power, or someone else is on it: %w", c.args[0], err)
		}
		defer conn.Close()
		return talk(ctx, c, conn)
	}
}

// talk joins the terminal and the console until either ends or Ctrl-].
func talk(ctx context.Context, c *call, conn net.Conn) error {
	restore, err := rawTerminal(c.stdin)
	if err != nil {
		return err
	}
	defer restore()
	fmt.Fprintf(c.stderr, "console of %s; Ctrl-] leaves\r\n", c.args[0])
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	// The reader of the terminal cannot be interrupted: it ends with the process,
	// or on the next key, when it finds the connection closed.
	go func() {
		if typed(conn, c.stdin) {
			conn.Close()
		}
	}()
	_, _ = io.Copy(c.stdout, conn) // its end is how one leaves
	fmt.Fprint(c.stderr, "\r\n")
	return nil
}

// typed copies keys to the console and tells whether the person wants to leave.
// The end of a script's input does not: its answers are still to come.
func typed(w io.Writer, r io.Reader) bool {
	buf := make([]byte, 256)
	for {
		n, err := r.Read(buf)
		keys, _, leave := bytes.Cut(buf[:n], []byte{leaveKey})
		if _, werr := w.Write(keys); werr != nil || leave {
			return true
		}
		if err != nil {
			return false
		}
	}
}

// rawTerminal hands every key to the console, Ctrl-C too.
func rawTerminal(in io.Reader) (restore func(), err error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}, nil
	}
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("set the terminal: %w", err)
	}
	return func() { _ = term.Restore(int(f.Fd()), old) }, nil
}
