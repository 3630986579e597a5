package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/ingot-os/ingot/api"
)

// siteHost is the registry name that stands for the site's own registry.
const siteHost = "registry.ingot"

// Reference is an image's full name: Docker's short names are Docker Hub's.
func Reference(image string) (string, error) {
	if image == "" {
		return BaseImage, nil
	}
	ref, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", api.Errorf(api.KindInvalid, "image %q: %v", image, err)
	}
	return ref.String(), nil
}

// Pull makes an image ready to run; without force a local one is enough.
// A KindNotFound says that there is no such image, KindUnavailable that
// containerd does not answer.
func (r *Runtime) Pull(ctx context.Context, image string, force bool) (client.Image, error) {
	ctx = r.namespaced(ctx)
	ref, err := Reference(image)
	if err != nil {
		return nil, err
	}
	if !force {
		img, err := r.client.GetImage(ctx, ref)
		if err == nil {
			return img, r.unpack(ctx, img)
		}
		if !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("look for image %s: %w", ref, asKind(err))
		}
	}
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: r.hosts})
	img, err := r.client.Pull(ctx, ref, client.WithResolver(resolver), client.WithPullUnpack)
	if err != nil {
		return nil, pullError(ref, err)
	}
	return img, nil
}

// unpack finishes what a crash between download and unpacking has left.
func (r *Runtime) unpack(ctx context.Context, img client.Image) error {
	if err := img.Unpack(ctx, ""); err != nil {
		return fmt.Errorf("unpack image %s: %w", img.Name(), asKind(err))
	}
	return nil
}

func pullError(ref string, err error) error {
	host, _, _ := strings.Cut(ref, "/")
	where := "on " + host
	if host == siteHost {
		where = "in the site registry"
	}
	switch {
	case errdefs.IsNotFound(err):
		return api.Errorf(api.KindNotFound, "image %s: not found %s", ref, where)
	case errdefs.IsUnavailable(err):
		return asKind(err)
	}
	return fmt.Errorf("image %s: pull: %w", ref, err)
}

// asKind marks what the caller should try again.
func asKind(err error) error {
	if errdefs.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded) {
		return api.Errorf(api.KindUnavailable, "containerd does not answer: %v", err)
	}
	return err
}

// hosts says where images of a registry come from.
func (r *Runtime) hosts(host string) ([]docker.RegistryHost, error) {
	if host != siteHost {
		return docker.ConfigureDefaultRegistries()(host)
	}
	node, err := r.cfg.Identity.Node()
	if err != nil {
		return nil, err
	}
	tls, err := r.cfg.Identity.Client()
	if err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(node.Registry); err != nil {
		return nil, fmt.Errorf("site registry %q of the node's identity is not host:port", node.Registry)
	}
	return []docker.RegistryHost{{
		Client: &http.Client{Transport: docker.DefaultHTTPTransport(tls)},
		Host:   node.Registry, Scheme: "https", Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}}, nil
}

// Images lists the names of all local images.
func (r *Runtime) Images(ctx context.Context) ([]string, error) {
	list, err := r.client.ImageService().List(r.namespaced(ctx))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", asKind(err))
	}
	var refs []string
	for _, i := range list {
		refs = append(refs, i.Name)
	}
	return refs, nil
}

// RemoveImage removes a local image and what only it uses.
func (r *Runtime) RemoveImage(ctx context.Context, ref string) error {
	err := r.client.ImageService().Delete(r.namespaced(ctx), ref, images.SynchronousDelete())
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", ref, asKind(err))
	}
	return nil
}
