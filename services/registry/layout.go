package registry

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// maxManifest bounds what is read into memory of a layout.
const maxManifest = 4 << 20

// Annotations of index.json that name an image.
const (
	annotationName = "io.containerd.image.name"
	annotationRef  = "org.opencontainers.image.ref.name"
)

// blob is a stretch of a file.
type blob struct {
	path      string
	at, size  int64
	mod       time.Time
	mediaType string // of manifests and indexes; empty: not one
}

// serve answers with the blob; ServeContent knows HEAD and Range.
func (b blob) serve(w http.ResponseWriter, r *http.Request, digest, mediaType string) {
	f, err := os.Open(b.path)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Etag", `"`+digest+`"`)
	http.ServeContent(w, r, "", b.mod, io.NewSectionReader(f, b.at, b.size))
}

// descriptor and document are the parts of an index or manifest that lead on
// (OCI image specification, descriptor.md, image-index.md, manifest.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

type document struct {
	Manifests []descriptor `json:"manifests"`
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
}

// layout is one tar: where its blobs lie.
type layout struct {
	index document
	blobs map[string]blob
}

// load adds the images of one tar.
func (g *registry) load(path string) error {
	l, err := scan(path)
	if err != nil {
		return err
	}
	if len(l.index.Manifests) == 0 {
		return errors.New("its index.json names no manifest")
	}
	for _, d := range l.index.Manifests {
		name, tag := nameOf(d, path)
		if err := checkName(name); err != nil {
			return err
		}
		repo := g.repo(name)
		if err := l.follow(repo, d); err != nil {
			return err
		}
		repo.tags[tag] = d.Digest
	}
	return nil
}

// follow adds what a descriptor leads to, and checks that it is all there.
func (l *layout) follow(repo *repository, d descriptor) error {
	b, ok := l.blobs[d.Digest]
	if !ok {
		return fmt.Errorf("blob %s is missing: build the image again", d.Digest)
	}
	if !strings.Contains(d.MediaType, ".manifest.") && !strings.Contains(d.MediaType, ".index.") {
		repo.blobs[d.Digest] = b
		return nil
	}
	b.mediaType = d.MediaType
	repo.blobs[d.Digest] = b
	doc, err := b.document()
	if err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	next := append(doc.Manifests, doc.Layers...)
	if doc.Config != nil {
		next = append(next, *doc.Config)
	}
	for _, n := range next {
		if _, seen := repo.blobs[n.Digest]; seen {
			continue
		}
		if err := l.follow(repo, n); err != nil {
			return err
		}
	}
	return nil
}

func (b blob) document() (document, error) {
	var doc document
	if b.size > maxManifest {
		return doc, fmt.Errorf("%d bytes, at most %d", b.size, maxManifest)
	}
	f, err := os.Open(b.path)
	if err != nil {
		return doc, err
	}
	defer f.Close()
	return doc, json.NewDecoder(io.NewSectionReader(f, b.at, b.size)).Decode(&doc)
}

// scan reads a tar's headers: entries and where their data begins.
func scan(file string) (*layout, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l := &layout{blobs: map[string]blob{}}
	t := tar.NewReader(f)
	found := false
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: build the image again", err)
		}
		at, err := f.Seek(0, io.SeekCurrent) // the reader stands at the data, unbuffered
		if err != nil {
			return nil, err
		}
		b := blob{path: file, at: at, size: h.Size, mod: st.ModTime()}
		if at+h.Size > st.Size() {
			return nil, fmt.Errorf("%s: cut off: build the image again", h.Name)
		}
		switch dir, name := path.Split(path.Clean(h.Name)); {
		case h.Typeflag != tar.TypeReg:
		case dir == "" && name == "index.json":
			if l.index, err = b.document(); err != nil {
				return nil, fmt.Errorf("index.json: %w", err)
			}
			found = true
		case dir == "blobs/sha256/":
			l.blobs["sha256:"+name] = b
		}
	}
	if !found {
		return nil, errors.New("no index.json in it: it is not an OCI layout")
	}
	return l, nil
}

// nameOf finds an image's name and tag: from its annotations, else from the
// file's name, tag "latest". The registry's own host name is left off.
func nameOf(d descriptor, file string) (name, tag string) {
	name = strings.TrimSuffix(filepath.Base(file), ".tar")
	tag = "latest"
	for _, ref := range []string{d.Annotations[annotationRef], d.Annotations[annotationName]} {
		switch n, t, ok := cutTag(ref); {
		case ref == "":
		case ok:
			name, tag = n, t
		default:
			tag = ref // the specification's own use: a tag alone
		}
	}
	return name, tag
}

// cutTag splits HOST/NAME:TAG into NAME and TAG.
func cutTag(ref string) (name, tag string, ok bool) {
	i := strings.LastIndexByte(ref, ':')
	if i < 0 || strings.Contains(ref[i:], "/") {
		return "", "", false
	}
	name, tag = ref[:i], ref[i+1:]
	if host, rest, found := strings.Cut(name, "/"); found && strings.ContainsAny(host, ".:") {
		name = rest
	}
	return name, tag, true
}
