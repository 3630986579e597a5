package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/ingot-os/ingot/image/tree"
)

func example(t *testing.T) Image {
	t.Helper()
	var files tree.Tree
	for _, e := range []tree.Entry{
		{Path: "bin", Mode: fs.ModeSymlink | 0o777, Link: "usr/bin"},
		{Path: "usr/bin/tool", Mode: 0o755, Data: []byte("#!/bin/sh\n")},
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
	} {
		if err := files.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return Image{Name: "registry.ingot/tool:1", Tag: "1", Files: &files, Config: Config{Entrypoint: []string{"/bin/tool"}, Env: []string{"A=b"}}}
}

// TestReadByGoContainerregistry has another implementation check every digest,
// size and type, and reads the files back.
func TestReadByGoContainerregistry(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, example(t)); err != nil {
		t.Fatal(err)
	}
	im := open(t, out.Bytes())
	if err := validate.Image(im); err != nil {
		t.Fatal(err)
	}
	config, err := im.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "amd64" || config.OS != "linux" || config.Config.Entrypoint[0] != "/bin/tool" || config.Config.Env[0] != "A=b" {
		t.Errorf("config %+v", config)
	}
	layers, err := im.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := []string{"Lrwxrwxrwx bin usr/bin", "dtrwxrwxrwx tmp/ ", "drwxr-xr-x usr/ ", "drwxr-xr-x usr/bin/ ", "-rwxr-xr-x usr/bin/tool "}
	if d := cmp.Diff(want, list(t, r)); d != "" {
		t.Error(d)
	}
}

func list(t *testing.T, r io.Reader) (all []string) {
	t.Helper()
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Join([]string{h.FileInfo().Mode().String(), h.Name, h.Linkname}, " "))
	}
}

// open unpacks the layout and returns its one image.
func open(t *testing.T, data []byte) v1.Image {
	t.Helper()
	dir := t.TempDir()
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if name := m.Manifests[0].Annotations["io.containerd.image.name"]; name != "registry.ingot/tool:1" {
		t.Errorf("name %q", name)
	}
	im, err := index.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func TestSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if err := errors.Join(Write(&a, example(t)), Write(&b, example(t))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same image has other bytes")
	}
}
