package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Lock pins the packages of each set.
type Lock struct {
	Suite    string              `json:"suite"`
	Date     string              `json:"date"` // of the index it was made from
	Sets     map[string][]string `json:"sets"` // names of packages
	Packages []Package           `json:"packages"`
}

// ParseLock reads a lock file.
func ParseLock(data []byte) (*Lock, error) {
	var l Lock
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("read the lock file: %w", err)
	}
	if l.Suite != Suite {
		return nil, fmt.Errorf("read the lock file: it is for %q, not %s: make a new one with `ingot image lock`", l.Suite, Suite)
	}
	return &l, nil
}

// Bytes writes the lock in its file's form.
func (l *Lock) Bytes() ([]byte, error) {
	data, err := json.MarshalIndent(l, "", "  ")
	return append(data, '\n'), err
}

// NewLock pins the newest signed packages of the sets.
func (c *Client) NewLock(ctx context.Context, sets []Set) (*Lock, error) {
	ix, err := c.Index(ctx)
	if err != nil {
		return nil, err
	}
	l := &Lock{Suite: Suite, Date: ix.Date, Sets: map[string][]string{}}
	all := map[string]Package{}
	for _, s := range sets {
		packages, err := ix.resolve(s)
		if err != nil {
			return nil, fmt.Errorf("lock set %s: %w", s.Name, err)
		}
		for _, p := range packages {
			all[p.Name] = p
			l.Sets[s.Name] = append(l.Sets[s.Name], p.Name)
		}
	}
	l.Packages = sorted(all)
	return l, nil
}

// Fetched is a package in the cache. Locked is false when the lock's version was
// to be had nowhere and the newest signed one took its place.
type Fetched struct {
	Package
	Path   string
	Locked bool
}

// Fetch brings the packages of a set into the cache.
func (c *Client) Fetch(ctx context.Context, l *Lock, set string) ([]Fetched, error) {
	names, ok := l.Sets[set]
	if !ok {
		return nil, fmt.Errorf("no set %q in the lock file: make a new one with `ingot image lock`", set)
	}
	var all []Fetched
	for _, name := range names {
		i := slices.IndexFunc(l.Packages, func(p Package) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("package %s of set %q is not in the lock file: make a new one with `ingot image lock`", name, set)
		}
		f, err := c.fetch(ctx, l.Packages[i])
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// fetch tries the cache, the signed index, the pool, then what is newest.
func (c *Client) fetch(ctx context.Context, p Package) (Fetched, error) {
	if path, ok := c.cached(p.SHA256, p.Size); ok {
		return Fetched{p, path, true}, nil
	}
	ix, err := c.Index(ctx)
	if err != nil {
		return Fetched{}, err
	}
	now := ix.newest[p.Name]
	if now.Version == p.Version && now.SHA256 != p.SHA256 {
		return Fetched{}, fmt.Errorf("package %s %s: the lock file's sha256 is not the one Debian signed: make a new one with `ingot image lock`", p.Name, p.Version)
	}
	path, err := c.file(ctx, p.Filename, p.SHA256, p.Size)
	if err == nil {
		return Fetched{p, path, true}, nil
	}
	if !errors.Is(err, errGone) {
		return Fetched{}, err
	}
	return c.newest(ctx, ix, p)
}

func (c *Client) newest(ctx context.Context, ix *Index, p Package) (Fetched, error) {
	now, ok := ix.newest[p.Name]
	if p.Via != "" {
		prefix := p.Name[:strings.IndexAny(p.Name+"0", "0123456789")] // linux-image-
		if by, err := ix.versioned(Set{Roots: []string{p.Via}, Versioned: prefix}); err == nil {
			now, ok = by[0], true
		}
	}
	if !ok {
		return Fetched{}, fmt.Errorf("package %s has left Debian %s: make a new lock file with `ingot image lock`", p.Name, Suite)
	}
	path, err := c.file(ctx, now.Filename, now.SHA256, now.Size)
	return Fetched{now, path, false}, err
}

func compareNames(a, b string) int { return strings.Compare(a, b) }
