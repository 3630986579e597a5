package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/image/debian"
	"github.com/ingot-os/ingot/image/root"
)

// CacheEnv is where packages are kept, when it is set.
const CacheEnv = "INGOT_CACHE"

// Options says what to build. Only Out is without a default.
type Options struct {
	Root    string // the repository; the current folder when empty
	Out     string // the folder of the artefacts
	Cache   string // packages; $INGOT_CACHE or the user's cache folder when empty
	Version string // "dev" when empty
	Profile string // "vm" when empty, and the only one there is
	// Programs of the root image, root.Programs when nil.
	Programs []root.Program
	// Log is told of warnings. Began and Done frame each step, Progress is told of
	// bytes within a download. All may be nil.
	Log      func(format string, args ...any)
	Began    func(name string, kind Kind)
	Done     func(Step)
	Progress func(name string, done, total int64)
}

// Kind is what a step spends its time on.
type Kind string

// The kinds of step, told apart because only the last depends on our code alone.
const (
	Download Kind = "download"
	Compile  Kind = "compile"
	Assemble Kind = "assemble"
)

// Step is a finished step of a build. Skipped says that there was nothing to do.
type Step struct {
	Name    string  `json:"name"`
	Kind    Kind    `json:"kind"`
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"` // that it brought or made
	Skipped bool    `json:"skipped"`
}

func (o *Options) fill() error {
	if o.Out == "" {
		return errors.New("no folder to put the image into: give --out")
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Profile == "" {
		o.Profile = "vm"
	}
	if o.Profile != "vm" {
		return fmt.Errorf("unknown profile %q: there is vm", o.Profile)
	}
	if o.Programs == nil {
		o.Programs = root.Programs
	}
	return o.fillPlaces()
}

func (o *Options) fillPlaces() (err error) {
	if o.Root == "" {
		o.Root = "."
	}
	if _, err := os.Stat(filepath.Join(o.Root, filepath.FromSlash(lockPath))); err != nil {
		return fmt.Errorf("no repository of Ingot in %s: run this there", o.Root)
	}
	if o.Cache == "" {
		o.Cache = os.Getenv(CacheEnv)
	}
	if o.Cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no folder to keep packages in: %w: set %s", err, CacheEnv)
		}
		o.Cache = filepath.Join(user, "ingot")
	}
	o.Cache, err = filepath.Abs(o.Cache)
	return err
}

func (o *Options) client() *debian.Client {
	return &debian.Client{Apt: "/etc/apt", Cache: o.Cache, Keyring: debian.Keyring, Progress: o.Progress}
}

func (o *Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(format, args...)
	}
}

// step runs one step and reports it.
func (o *Options) step(name string, kind Kind, do func() (bytes int64, skipped bool, err error)) error {
	if o.Began != nil {
		o.Began(name, kind)
	}
	start := time.Now()
	bytes, skipped, err := do()
	if err != nil {
		return err
	}
	if o.Done != nil {
		o.Done(Step{Name: name, Kind: kind, Seconds: time.Since(start).Seconds(), Bytes: bytes, Skipped: skipped})
	}
	return nil
}
