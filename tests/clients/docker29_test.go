package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// docker29 is the same command line with a daemon of the version that asks
// mirrors as containerd does, and keeps images in it.
type docker29 struct{ docker }

func startDocker29(t *testing.T, w *world) client {
	return docker29{newDocker(t, w, withPrograms(t, w, "dockerd", "containerd", "containerd-shim-runc-v2")...)}
}

func (d docker29) version(context.Context) (string, error) { return programVersion("dockerd"), nil }
func (d docker29) namespaces() []string                    { return []string{"docker.io", "quay.io"} }

// id is not what this daemon names an image by: that is the digest of the
// manifest.
func (d docker29) id(ctx context.Context, ref string) (string, error) {
	digest, err := d.docker.id(ctx, ref)
	if err != nil {
		return "", err
	}
	return d.config(ctx, digest)
}

func (d docker29) config(ctx context.Context, digest string) (string, error) {
	const blobs = "/var/lib/docker/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/"
	content, err := testbed.Run(d.host.Command(ctx, nil, "cat", blobs+encoded(digest)))
	if err != nil {
		return "", err
	}
	return configIn(content, func(digest string) (string, error) { return d.config(ctx, digest) })
}

// use compares the digests of the unpacked layers, because this daemon wants a
// newer runc than Debian's to run them.
func (d docker29) use(ctx context.Context, image testbed.Image, ref string) (string, error) {
	said, err := d.run(ctx, "image", "inspect", "--format", "{{json .RootFS.Layers}}", ref)
	if err != nil {
		return "", err
	}
	var layers []string
	if err := json.Unmarshal([]byte(said), &layers); err != nil {
		return "", err
	}
	if !slices.Equal(layers, image.Layers) {
		return "", fmt.Errorf("the layers are %v, want %v", layers, image.Layers)
	}
	return image.Says, nil
}
