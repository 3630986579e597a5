package debian

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ulikunitz/xz"
)

const (
	// Suite is the Debian release that images are made of.
	Suite       = "trixie"
	packagesXZ  = "main/binary-amd64/Packages.xz"
	releaseFile = "dists/" + Suite + "/InRelease"
)

// Index is what Debian signed: the newest version of every package.
type Index struct {
	Date     string // when Debian published it
	newest   map[string]Package
	provides map[string][]string // virtual name to names
}

// Index fetches the archive's index once, checks it, and keeps it.
func (c *Client) Index(ctx context.Context) (*Index, error) {
	if c.index != nil {
		return c.index, nil
	}
	var signed bytes.Buffer
	if err := c.get(ctx, releaseFile, 0, &signed); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", releaseFile, err)
	}
	release, err := verify(signed.Bytes(), c.Keyring)
	if err != nil {
		return nil, fmt.Errorf("check the signature of %s: %w", releaseFile, err)
	}
	sum, size, err := release.digest(packagesXZ)
	if err != nil {
		return nil, err
	}
	path, err := c.file(ctx, "dists/"+Suite+"/"+packagesXZ, sum, size)
	if err != nil {
		return nil, err
	}
	c.index, err = parseIndex(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", packagesXZ, err)
	}
	c.index.Date = release.fields["Date"]
	return c.index, nil
}

type release struct{ fields map[string]string }

// verify returns the release file when a key of the keyring signed it.
func verify(signed []byte, keyring string) (*release, error) {
	keys, err := os.ReadFile(keyring)
	if err != nil {
		return nil, fmt.Errorf("%w: install Debian's package debian-archive-keyring", err)
	}
	known, err := openpgp.ReadKeyRing(bytes.NewReader(keys))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", keyring, err)
	}
	block, _ := clearsign.Decode(signed)
	if block == nil {
		return nil, errors.New("it carries none: is the mirror behind a login page, or not a mirror of Debian?")
	}
	if _, err := block.VerifySignature(known, nil); err != nil {
		return nil, fmt.Errorf("%w: do not use this mirror, or renew the package debian-archive-keyring", err)
	}
	r := &release{}
	err = stanzas(bytes.NewReader(block.Plaintext), func(f map[string]string) error {
		r.fields = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r.fields["Codename"] != Suite || r.fields["Origin"] != "Debian" {
		return nil, fmt.Errorf("it is of %s %s, want Debian %s", r.fields["Origin"], r.fields["Codename"], Suite)
	}
	return r, nil
}

// digest finds the SHA-256 and size of a file in the release.
func (r *release) digest(name string) (string, int64, error) {
	for line := range strings.Lines(r.fields["SHA256"]) {
		f := strings.Fields(line)
		if len(f) == 3 && f[2] == name && len(f[0]) == 64 {
			size, err := strconv.ParseInt(f[1], 10, 64)
			return f[0], size, err
		}
	}
	return "", 0, fmt.Errorf("%s has no SHA-256 of %s", releaseFile, name)
}

func parseIndex(path string) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := xz.NewReader(bufio.NewReader(f)) // without a buffer it reads byte by byte
	if err != nil {
		return nil, err
	}
	ix := &Index{newest: map[string]Package{}, provides: map[string][]string{}}
	err = stanzas(r, func(f map[string]string) error {
		p, err := packageOf(f)
		if err != nil {
			return err
		}
		ix.add(p)
		return nil
	})
	return ix, err
}

func (ix *Index) add(p Package) {
	if old, ok := ix.newest[p.Name]; ok && compareVersions(old.Version, p.Version) >= 0 {
		return
	}
	ix.newest[p.Name] = p
	for _, virtual := range p.provides {
		ix.provides[virtual] = append(ix.provides[virtual], p.Name)
	}
}
