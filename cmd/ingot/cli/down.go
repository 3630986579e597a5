package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func down(fs *flag.FlagSet) action {
	dir := fs.String("dir", defaultRack, "where the rack lives, `DIR`")
	return func(_ context.Context, c *call) error {
		if empty(*dir) {
			fmt.Fprintln(c.stderr, "nothing is up")
			return nil
		}
		if err := remove(*dir); err != nil {
			return err
		}
		_ = os.Remove(filepath.Join(*dir, upLock)) // a killed ingot up leaves it
		_ = os.Remove(*dir)                        // stays when somebody else keeps something there
		fmt.Fprintln(c.stderr, "the rack is down")
		return nil
	}
}

// empty tells whether nothing of a rack is in a folder.
func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || len(entries) == 0
}
