// Package registry is the site registry: it serves container images to agents
// straight out of OCI layouts in tar files, as the image build leaves them.
//
// It reads where each blob lies in its tar at start and copies nothing, neither
// to memory nor to disk. It speaks the reading half of the OCI distribution
// specification 1.1 (sections "Pull" and "Content Discovery", end-1 to end-3 and
// end-8a): /v2/, manifests by tag and digest, blobs with Range, tags/list. It
// refuses writing, and everybody but agents and operators. Files added later
// are seen after a restart. It starts no goroutine.
package registry

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ingot-os/ingot/api"
	"github.com/ingot-os/ingot/api/identity"
)

// readers may pull.
var readers = []api.Role{api.RoleAgent, api.RolePublicAgent, api.RoleOperator}

// Handler serves the images in dir, *.tar. The connection must carry a client
// certificate that its server has verified.
func Handler(dir string) (http.Handler, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return nil, fmt.Errorf("list images in %s: %w", dir, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no image (*.tar) in %s: build them with `ingot image build`", dir)
	}
	r := &registry{repositories: map[string]*repository{}}
	for _, p := range paths {
		if err := r.load(p); err != nil {
			return nil, fmt.Errorf("read image %s: %w", p, err)
		}
	}
	return identity.Require(r.serve, readers...), nil
}

type registry struct {
	repositories map[string]*repository
}

// repository is one image name with its tags and all that they lead to.
type repository struct {
	tags  map[string]string // to digest
	blobs map[string]blob   // by digest, manifests too
}

// Paths of the specification; names may hold slashes.
var (
	namePart  = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	manifests = regexp.MustCompile(`^/v2/(` + namePart + `(?:/` + namePart + `)*)/manifests/([A-Za-z0-9_][A-Za-z0-9._:-]{0,127})$`)
	blobs     = regexp.MustCompile(`^/v2/(` + namePart + `(?:/` + namePart + `)*)/blobs/(sha256:[0-9a-f]{64})$`)
	tagsList  = regexp.MustCompile(`^/v2/(` + namePart + `(?:/` + namePart + `)*)/tags/list$`)
)

func (g *registry) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is only read")
		return
	}
	p := r.URL.Path
	if p == "/v2/" || p == "/v2" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		return
	}
	if m := manifests.FindStringSubmatch(p); m != nil {
		g.manifest(w, r, m[1], m[2])
	} else if m := blobs.FindStringSubmatch(p); m != nil {
		g.blob(w, r, m[1], m[2])
	} else if m := tagsList.FindStringSubmatch(p); m != nil {
		g.tags(w, m[1])
	} else {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such path: "+p)
	}
}

func (g *registry) manifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	repo, ok := g.repositories[name]
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("there is no image %q", name))
		return
	}
	digest := ref
	if !strings.Contains(ref, ":") {
		digest = repo.tags[ref]
	}
	b, ok := repo.blobs[digest]
	if !ok || b.mediaType == "" {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", fmt.Sprintf("image %q has no %q", name, ref))
		return
	}
	b.serve(w, r, digest, b.mediaType)
}

func (g *registry) blob(w http.ResponseWriter, r *http.Request, name, digest string) {
	repo, ok := g.repositories[name]
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("there is no image %q", name))
		return
	}
	b, ok := repo.blobs[digest]
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", fmt.Sprintf("image %q has no blob %s", name, digest))
		return
	}
	b.serve(w, r, digest, "application/octet-stream")
}

// repo finds or makes a repository.
func (g *registry) repo(name string) *repository {
	if g.repositories[name] == nil {
		g.repositories[name] = &repository{tags: map[string]string{}, blobs: map[string]blob{}}
	}
	return g.repositories[name]
}

var errName = errors.New("its name is not one that the OCI specification allows")

var nameForm = regexp.MustCompile(`^` + namePart + `(/` + namePart + `)*$`)

func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q: %w", name, errName)
	}
	return nil
}
