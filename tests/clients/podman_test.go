package clients

import (
	"context"
	"errors"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// podman is Podman with a store of its own.
type podman struct{ containersTool }

func startPodman(t *testing.T, p *place) client {
	return podman{newContainersTool(t, p, "podman")}
}

// containersTool is what Podman and Buildah, on top of the same libraries, have
// in common.
type containersTool struct {
	accounts
	mirroredAll
}

func newContainersTool(t *testing.T, p *place, program string) containersTool {
	t.Helper()
	return containersTool{accounts: accounts{newCommand(t, p.site.StartWorkshop(t, program), program)}}
}

func (c containersTool) push(ctx context.Context, ref string) error   { return c.do(ctx, "push", ref) }
func (c containersTool) pull(ctx context.Context, ref string) error   { return c.do(ctx, "pull", ref) }
func (c containersTool) remove(ctx context.Context, ref string) error { return c.do(ctx, "rmi", ref) }

func (c containersTool) pushAs(ctx context.Context, ref string, format testbed.Format) error {
	options := []string{"push", "--format", "oci"}
	if format.Docker {
		options[2] = "v2s2"
	}
	if format.Zstd {
		options = append(options, "--compression-format", "zstd")
	}
	return c.do(ctx, append(options, ref)...)
}

func (c containersTool) pushList(ctx context.Context, list string, images ...string) error {
	if err := c.do(ctx, "manifest", "create", list); err != nil {
		return err
	}
	for _, image := range images {
		if err := c.do(ctx, "manifest", "add", list, "docker://"+image); err != nil {
			return err
		}
	}
	if err := c.do(ctx, "manifest", "push", "--all", list, "docker://"+list); err != nil {
		return err
	}
	return c.do(ctx, "rmi", list)
}

// build builds on top of what the base is now, and keeps nothing.
func (c containersTool) build(ctx context.Context, dockerfile string) (string, error) {
	const built = "localhost/built:latest"
	said, err := c.hear(ctx, dockerfile,
		"build", "--network", "none", "--pull-always", "--no-cache", "--file", "-", "--tag", built, c.host.Folder)
	if err != nil {
		return "", err
	}
	return said, c.do(ctx, "rmi", "--all", "--force")
}

func (c containersTool) publish(ctx context.Context, dockerfile, ref string) error {
	_, err := c.hear(ctx, dockerfile, "build", "--network", "none", "--file", "-", "--tag", ref, c.host.Folder)
	if err == nil {
		err = c.push(ctx, ref)
	}
	return errors.Join(err, c.do(ctx, "rmi", "--all", "--force"))
}

func (p podman) load(ctx context.Context, image testbed.Image, ref string) error {
	return rename(ctx, p, p.do(ctx, "load", "--input", image.Archive), image.Loaded, ref)
}

func (p podman) id(ctx context.Context, ref string) (string, error) {
	id, err := p.run(ctx, "image", "inspect", "--format", "{{.ID}}", ref)
	return "sha256:" + id, err
}

func (p podman) digest(ctx context.Context, ref string) (string, error) {
	return p.run(ctx, "image", "inspect", "--format", "{{.Digest}}", ref)
}

func (p podman) use(ctx context.Context, _ testbed.Image, ref string) (string, error) {
	return p.run(ctx, "run", "--rm", "--network", "none", ref)
}
