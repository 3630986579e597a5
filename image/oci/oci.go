// Package oci writes container images of one layer as OCI image layouts in a tar
// file (OCI image-spec 1.1, image-layout.md), without any container engine.
//
// The same tree and configuration give the same bytes. It refuses nothing that a
// tree can hold. It does not push: the site registry serves the files.
package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"github.com/ingot-os/ingot/image/tree"
)

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Image is an image to write. Name is its whole reference, as in
// "registry.ingot/hello:1", Tag the part after the colon.
type Image struct {
	Name   string
	Tag    string
	Config Config
	Files  *tree.Tree
}

// Config is what runs when nothing else is said (image-spec config.md).
type Config struct {
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// Write writes the image's layout.
func Write(w io.Writer, im Image) error {
	out := archive{tar.NewWriter(w)}
	if err := out.write(im); err != nil {
		return fmt.Errorf("write image %s: %w", im.Name, err)
	}
	return out.Close()
}

type archive struct{ *tar.Writer }

func (a archive) write(im Image) error {
	layer, diffID, err := pack(im.Files)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": im.Config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diffID}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest,
		"config": describe(typeConfig, config), "layers": []descriptor{describe(typeLayer, layer)},
	})
	if err != nil {
		return err
	}
	top := describe(typeManifest, manifest)
	top.Platform = &platform{"amd64", "linux"}
	top.Annotations = map[string]string{
		"io.containerd.image.name": im.Name, "org.opencontainers.image.ref.name": im.Tag,
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{top}})
	if err != nil {
		return err
	}
	return a.files(index, manifest, config, layer)
}

func (a archive) files(index []byte, blobs ...[]byte) error {
	if err := a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := a.file("index.json", index); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := a.file("blobs/sha256/"+hexSum(b), b); err != nil {
			return err
		}
	}
	return nil
}

func (a archive) file(name string, data []byte) error {
	if err := a.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := a.Write(data)
	return err
}

// pack makes the layer and the digest of its uncompressed form.
func pack(t *tree.Tree) ([]byte, string, error) {
	var packed bytes.Buffer
	plain := sha256.New()
	z, err := gzip.NewWriterLevel(&packed, gzip.DefaultCompression)
	if err != nil {
		return nil, "", err
	}
	if err := layer(io.MultiWriter(z, plain), t); err != nil {
		return nil, "", err
	}
	if err := z.Close(); err != nil {
		return nil, "", err
	}
	return packed.Bytes(), "sha256:" + hex.EncodeToString(plain.Sum(nil)), nil
}

func layer(w io.Writer, t *tree.Tree) error {
	out := tar.NewWriter(w)
	for _, e := range t.Entries() {
		if err := add(out, e); err != nil {
			return err
		}
	}
	return out.Close()
}

func add(out *tar.Writer, e tree.Entry) error {
	h := &tar.Header{Name: e.Path, Mode: int64(mode(e.Mode)), Typeflag: tar.TypeReg}
	switch {
	case e.Mode.IsDir():
		h.Name, h.Typeflag = e.Path+"/", tar.TypeDir
		return out.WriteHeader(h)
	case e.Mode.Type() == fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
		return out.WriteHeader(h)
	}
	r, size, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h.Size = size
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return err
}

// mode turns Go's bits into those of a tar header.
func mode(m fs.FileMode) fs.FileMode {
	bits := m.Perm()
	for flag, bit := range map[fs.FileMode]fs.FileMode{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

func describe(mediaType string, data []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: "sha256:" + hexSum(data), Size: len(data)}
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
