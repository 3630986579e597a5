package image

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ingot-os/ingot/image/atomicfile"
	"github.com/ingot-os/ingot/image/debian"
)

// lockPath is the lock file in the repository; it is embedded too.
const lockPath = "image/lock.json"

//go:embed lock.json
var lockJSON []byte

// UpdateLock moves the lock file of the repository at o.Root to the newest
// packages that Debian signed, and says which ones changed.
func UpdateLock(ctx context.Context, o Options) (changed []string, err error) {
	if err := o.fillPlaces(); err != nil {
		return nil, fmt.Errorf("update the lock file: %w", err)
	}
	fresh, err := o.client().NewLock(ctx, sets)
	if err != nil {
		return nil, fmt.Errorf("update the lock file: %w", err)
	}
	data, err := fresh.Bytes()
	if err != nil {
		return nil, fmt.Errorf("update the lock file: %w", err)
	}
	changed = difference(fresh)
	return changed, atomicfile.WriteBytes(filepath.Join(o.Root, filepath.FromSlash(lockPath)), 0o644, data)
}

// difference names what is in the fresh lock and not in the embedded one.
func difference(fresh *debian.Lock) (changed []string) {
	old, err := debian.ParseLock(lockJSON)
	if err != nil {
		old = &debian.Lock{}
	}
	for _, p := range fresh.Packages {
		if !slices.ContainsFunc(old.Packages, func(o debian.Package) bool { return o.Name == p.Name && o.SHA256 == p.SHA256 }) {
			changed = append(changed, p.Name+" "+p.Version)
		}
	}
	return changed
}
