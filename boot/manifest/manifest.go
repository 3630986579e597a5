// Package manifest owns manifest.json, the list of what one image build made.
//
// The builder writes it last, so a folder with a manifest is a whole build; the
// provisioner and the rack read it before they serve a byte. It refuses files
// that are missing, short or changed, and says what to do. It signs nothing.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Name is the manifest's file name in the folder of a build.
const Name = "manifest.json"

// Manifest describes a build. Root, the digest of the root image, is the
// identity of the image: a node reports it as what it runs.
type Manifest struct {
	Version  string `json:"version"`
	Profile  string `json:"profile"`
	Unlocked bool   `json:"unlocked"` // an input is newer than the lock file says
	Cmdline  string `json:"cmdline"`
	Root     string `json:"root"` // SHA-256 of root.img, hex
	Files    []File `json:"files"`
}

// File is one artefact; Name is relative to the manifest, with slashes.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Read reads the manifest of the build in dir.
func Read(dir string) (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no image in %s: build one with `ingot image build`: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read the image's manifest: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read %s: %w: build the image again", filepath.Join(dir, Name), err)
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return nil, fmt.Errorf("read %s: file name %q leaves the folder: build the image again", filepath.Join(dir, Name), f.Name)
		}
	}
	return &m, nil
}

// Write puts the manifest into dir in one step: old or new, never half of it.
func (m *Manifest) Write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write the image's manifest: %w", err)
	}
	temp := filepath.Join(dir, "."+Name+".new")
	if err := os.WriteFile(temp, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the image's manifest: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(dir, Name)); err != nil {
		return fmt.Errorf("write the image's manifest: %w", err)
	}
	return nil
}

// Lookup returns the entry of a file by name.
func (m *Manifest) Lookup(name string) (File, bool) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// Verify reads every file of the build in dir and returns all that is wrong.
func (m *Manifest) Verify(dir string) error {
	var all []error
	for _, f := range m.Files {
		all = append(all, f.Verify(dir))
	}
	return errors.Join(all...)
}

// Verify compares the file in dir with the entry: size first, then digest.
func (f File) Verify(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: missing: build the image again", f.Name)
	case err != nil:
		return err
	case info.Size() != f.Size:
		return fmt.Errorf("%s: %d of %d bytes: build the image again", f.Name, info.Size(), f.Size)
	}
	got, err := Describe(dir, f.Name)
	if err != nil {
		return err
	}
	if got.SHA256 != f.SHA256 {
		return fmt.Errorf("%s: content changed since the build (sha256 %.12s, not %.12s): build the image again", f.Name, got.SHA256, f.SHA256)
	}
	return nil
}

// Describe makes the entry of a file in dir.
func Describe(dir, name string) (File, error) {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return File{}, err
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(h, in)
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", name, err)
	}
	return File{Name: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}
