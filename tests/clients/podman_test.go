package clients

import (
	"context"
	"path/filepath"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// podman is Podman with a store of its own.
type podman struct{ account }

func startPodman(t *testing.T, bed *testbed.Bed) client {
	return podman{account{containersCommand(t, bed, "podman")}}
}

// containersCommand is a tool on top of the containers libraries, with a store
// of its own. Its state is in /run, because the path must be short.
func containersCommand(t *testing.T, bed *testbed.Bed, program string) command {
	t.Helper()
	home := bed.Folder(t, program)
	return newCommand(t, home, program,
		"--root", filepath.Join(home, "store"),
		"--runroot", filepath.Join("/run", filepath.Base(home)))
}

func (p podman) load(ctx context.Context, image testbed.Image, ref string) error {
	if err := p.do(ctx, "load", "--input", image.Archive); err != nil {
		return err
	}
	return p.tag(ctx, image.ID, ref)
}

func (p podman) push(ctx context.Context, ref string) error   { return p.do(ctx, "push", ref) }
func (p podman) pull(ctx context.Context, ref string) error   { return p.do(ctx, "pull", ref) }
func (p podman) remove(ctx context.Context, ref string) error { return p.do(ctx, "rmi", ref) }

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

func (p podman) build(ctx context.Context, base, ref string) error {
	return p.buildAlways(ctx, base, ref)
}

// buildAlways builds on top of what base is now, and removes it.
func (c command) buildAlways(ctx context.Context, base, ref string) error {
	if _, err := c.feed(ctx, onTopOf(base), "build", "--pull-always", "--file", "-", "--tag", ref, c.home); err != nil {
		return err
	}
	return c.do(ctx, "rmi", base)
}
