package cli

import (
	"context"
	"flag"
	"fmt"

	"github.com/ingot-os/ingot/boot/manifest"
	"github.com/ingot-os/ingot/image"
)

func imageBuild(fs *flag.FlagSet) action {
	out := fs.String("out", defaultImage, "`DIR` to build in")
	profile := fs.String("profile", "vm", "which `PROFILE`; there is vm")
	version := fs.String("version", "dev", "the `VERSION` that nodes report")
	return func(ctx context.Context, c *call) error {
		b := newBoard(c.stderr)
		defer b.close()
		o := image.Options{Out: *out, Profile: *profile, Version: *version}
		m, err := image.Build(ctx, showBuild(o, b, newSpent()))
		if err != nil {
			return err
		}
		b.close()
		return columns(c.stdout, "FILE SIZE SHA256", manifestRows(m))
	}
}

func manifestRows(m *manifest.Manifest) [][]string {
	var rows [][]string
	for _, f := range m.Files {
		rows = append(rows, []string{f.Name, fmt.Sprintf("%.1f MB", float64(f.Size)/1e6), f.SHA256})
	}
	return rows
}

func imageLock(*flag.FlagSet) action {
	return func(ctx context.Context, c *call) error {
		b := newBoard(c.stderr)
		defer b.close()
		b.set("lock", "asking Debian's mirror", "")
		changed, err := image.UpdateLock(ctx, image.Options{Log: b.say})
		if err != nil {
			return err
		}
		b.close()
		for _, p := range changed {
			fmt.Fprintln(c.stdout, p)
		}
		fmt.Fprintf(c.stderr, "%d packages are newer than they were\n", len(changed))
		return nil
	}
}

func imageShow(fs *flag.FlagSet) action {
	out := fs.String("out", defaultImage, "`DIR` of the build")
	return func(_ context.Context, c *call) error {
		m, err := manifest.Read(*out)
		if err != nil {
			return err
		}
		if c.json {
			return c.showJSON(m)
		}
		fmt.Fprintf(c.stdout, "version %s, profile %s, unlocked %v, root sha256:%s\n%s\n\n", m.Version, m.Profile, m.Unlocked, m.Root, m.Cmdline)
		return columns(c.stdout, "FILE SIZE SHA256", manifestRows(m))
	}
}
