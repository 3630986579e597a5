package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-os/ingot/image/atomicfile"
)

// Client downloads from one mirror into one cache, where files are named by
// their SHA-256. Progress, when set, is told of each download as it grows.
type Client struct {
	Mirror   string // without a slash at the end; found by Mirror when empty
	Apt      string // apt's configuration, "/etc/apt"
	Cache    string
	Keyring  string // file with Debian's archive keys
	Progress func(name string, done, total int64)

	http  *http.Client
	index *Index
	bytes int64
}

// Keyring is where Debian's package debian-archive-keyring has its keys.
const Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// errGone says that the mirror does not have a file (any more).
var errGone = errors.New("not on the mirror")

// idle is how long a download may stand still before it is given up.
const idle = 60 * time.Second

// Downloaded returns how many bytes came over the network so far.
func (c *Client) Downloaded() int64 { return c.bytes }

// cached returns the path a file with this digest has, and whether it is there.
func (c *Client) cached(sum string, size int64) (string, bool) {
	path := filepath.Join(c.Cache, "sha256", sum)
	info, err := os.Stat(path)
	return path, err == nil && info.Size() == size
}

// file brings a file of known digest into the cache and returns its path.
func (c *Client) file(ctx context.Context, rel, sum string, size int64) (string, error) {
	path, ok := c.cached(sum, size)
	if ok {
		return path, nil
	}
	err := atomicfile.Write(path, 0o644, func(w io.Writer) error {
		h := sha256.New()
		if err := c.get(ctx, rel, size, io.MultiWriter(w, h)); err != nil {
			return err
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != sum {
			return fmt.Errorf("sha256 %.12s, want %.12s: the mirror's copy is damaged or changed, try another with %s", got, sum, MirrorEnv)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("download %s: %w", rel, err)
	}
	return path, nil
}

// get copies what the mirror has at rel to w. A size of 0 is not known.
func (c *Client) get(ctx context.Context, rel string, size int64, w io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	mirror, err := c.mirror()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, mirror+"/"+rel, http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: is %s right?", err, MirrorEnv)
	}
	stop := time.AfterFunc(idle, cancel)
	defer stop.Stop()
	resp, err := c.client(ctx).Do(req)
	if err != nil {
		return fmt.Errorf("%w: check the network and the proxy, or set %s to a mirror within reach", err, MirrorEnv)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return fmt.Errorf("%s: %w", resp.Status, errGone)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the mirror answers %s: try later, or set %s to another", resp.Status, MirrorEnv)
	}
	return c.copy(rel, size, w, resp.Body, stop)
}

func (c *Client) client(ctx context.Context) *http.Client {
	if c.http == nil {
		c.http = &http.Client{Transport: transport(ctx)}
	}
	return c.http
}

// mirror looks for one only when it is needed: a build offline needs none.
func (c *Client) mirror() (string, error) {
	if c.Mirror != "" {
		return c.Mirror, nil
	}
	found, err := Mirror(c.Apt)
	c.Mirror = found
	return found, err
}

// copy moves the body in pieces, so that progress shows and a stall is noticed.
func (c *Client) copy(rel string, size int64, w io.Writer, body io.Reader, stop *time.Timer) error {
	var done int64
	for {
		n, err := io.CopyN(w, body, 256<<10)
		stop.Reset(idle)
		done, c.bytes = done+n, c.bytes+n
		if c.Progress != nil {
			c.Progress(filepath.Base(rel), done, size)
		}
		switch {
		case errors.Is(err, io.EOF) && size > 0 && done < size:
			return fmt.Errorf("%d of %d bytes: the connection broke, try again", done, size)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case size > 0 && done > size:
			return fmt.Errorf("more than the %d bytes it should have", size)
		}
	}
}
