package clients

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// moby is the same command line with the daemon that Docker is made of since
// version 29: it asks mirrors as containerd does, and keeps images in one.
type moby struct{ docker }

func startMoby(t *testing.T, p *place) client {
	return moby{newDocker(t, p, withPrograms(t, p, "dockerd", "containerd", "containerd-shim-runc-v2")...)}
}

func (d moby) version(context.Context) (string, error) { return programVersion("dockerd"), nil }

// namespaces are more than that of another Docker.
func (d moby) namespaces() []string { return mirroredAll{}.namespaces() }

// id is not what this daemon names an image by: that is the digest of the
// manifest.
func (d moby) id(ctx context.Context, ref string) (string, error) {
	digest, err := d.docker.id(ctx, ref)
	if err != nil {
		return "", err
	}
	return d.config(ctx, digest)
}

func (d moby) config(ctx context.Context, digest string) (string, error) {
	content, err := os.ReadFile(d.blob(digest))
	if err != nil {
		return "", err
	}
	return configIn(string(content), func(digest string) (string, error) { return d.config(ctx, digest) })
}

// blob is the file of what has a digest, in the store of the containerd in it.
func (d moby) blob(digest string) string {
	return filepath.Join(d.host.Store("docker"), "containerd/daemon/io.containerd.content.v1.content/blobs/sha256", encoded(digest))
}

// use compares the bytes of every layer with the original's, because this daemon
// wants a newer runc than Debian's to run them.
func (d moby) use(ctx context.Context, image testbed.Image, ref string) (string, error) {
	manifest, err := d.run(ctx, "image", "inspect", "--format", "{{.Id}}", ref)
	if err != nil {
		return "", err
	}
	return d.compare(image, manifest)
}

func (d moby) compare(image testbed.Image, digest string) (string, error) {
	manifest, err := readManifest(d.blob(digest))
	if err != nil {
		return "", err
	}
	if own, ok := manifest.own(); ok {
		return d.compare(image, own.Digest)
	}
	return manifest.compare(image, d.blob)
}
