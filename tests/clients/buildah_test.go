package clients

import (
	"context"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// buildah is Buildah with a store of its own.
type buildah struct{ containersTool }

func startBuildah(t *testing.T, p *place) client {
	return buildah{newContainersTool(t, p, "buildah")}
}

func (b buildah) load(ctx context.Context, image testbed.Image, ref string) error {
	return rename(ctx, b, b.do(ctx, "pull", "docker-archive:"+image.Archive), image.Loaded, ref)
}

func (b buildah) id(ctx context.Context, ref string) (string, error) {
	id, err := b.inspect(ctx, "{{.FromImageID}}", ref)
	return "sha256:" + id, err
}

func (b buildah) digest(ctx context.Context, ref string) (string, error) {
	return b.inspect(ctx, "{{.FromImageDigest}}", ref)
}

func (b buildah) inspect(ctx context.Context, format, ref string) (string, error) {
	return b.run(ctx, "inspect", "--type", "image", "--format", format, ref)
}

// use runs the image's command as a step of a build would.
func (b buildah) use(ctx context.Context, image testbed.Image, ref string) (string, error) {
	container, err := b.run(ctx, "from", "--pull-never", ref)
	if err != nil {
		return "", err
	}
	said, err := b.run(ctx, append([]string{"run", "--isolation", "chroot", container, "--"}, image.Command...)...)
	if err != nil {
		return "", err
	}
	return said, b.do(ctx, "rm", container)
}
