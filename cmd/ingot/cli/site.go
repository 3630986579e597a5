package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-os/ingot/api/client"
)

// siteFile says how to reach a site.
type siteFile struct {
	Name  string `json:"name"`
	URL   string `json:"url"`   // of the router
	CA    string `json:"ca"`    // PEM
	Token string `json:"token"` // the operator's
}

const siteName = "site.json"

// defaultSite is where `ingot up` leaves a site, seen from where it ran.
var defaultSite = filepath.Join("build", "rack", "site")

// siteDir finds the folder of the site to speak to.
func (c *call) siteDir() (string, error) {
	if c.site == "" {
		c.site = os.Getenv("INGOT_SITE")
	}
	if c.site != "" {
		if _, err := os.Stat(filepath.Join(c.site, siteName)); err != nil {
			return "", fmt.Errorf("no site in %s: it has no %s", c.site, siteName)
		}
		return c.site, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("look for a site: %w", err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		at := filepath.Join(dir, defaultSite)
		if _, err := os.Stat(filepath.Join(at, siteName)); err == nil {
			return at, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no site here: run ingot up, or name one by --site DIR or $INGOT_SITE")
		}
	}
}

// rackDir is the rack that the site belongs to.
func (c *call) rackDir() (string, error) {
	site, err := c.siteDir()
	if err != nil {
		return "", err
	}
	return filepath.Dir(filepath.Clean(site)), nil
}

// cluster returns the calls of the site's cluster.
func (c *call) cluster() (*client.Cluster, error) {
	dir, err := c.siteDir()
	if err != nil {
		return nil, err
	}
	return openSite(dir)
}

func openSite(dir string) (*client.Cluster, error) {
	s, err := readSite(dir)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(s.CA)) {
		return nil, fmt.Errorf("read %s: no certificate of the site's CA", filepath.Join(dir, siteName))
	}
	return client.NewCluster(client.TLS(s.URL, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, s.Token)), nil
}

func readSite(dir string) (siteFile, error) {
	var s siteFile
	path := filepath.Join(dir, siteName)
	b, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read site: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}
