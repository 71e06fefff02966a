package clients

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// docker is Docker's command line with a daemon of its own.
type docker struct{ account }

func startDocker(t *testing.T, bed *testbed.Bed) client {
	daemon := bed.StartDocker(t)
	command := newCommand(t, bed.Folder(t, "docker"), testbed.Docker, "--host", daemon)
	command.env = []string{"DOCKER_BUILDKIT=1"}
	return docker{account{command}}
}

func (d docker) load(ctx context.Context, image testbed.Image, ref string) error {
	if err := d.do(ctx, "load", "--input", image.Archive); err != nil {
		return err
	}
	return d.tag(ctx, image.ID, ref)
}

func (d docker) push(ctx context.Context, ref string) error   { return d.do(ctx, "push", ref) }
func (d docker) pull(ctx context.Context, ref string) error   { return d.do(ctx, "pull", ref) }
func (d docker) remove(ctx context.Context, ref string) error { return d.do(ctx, "rmi", ref) }

func (d docker) id(ctx context.Context, ref string) (string, error) {
	return d.run(ctx, "image", "inspect", "--format", "{{.Id}}", ref)
}

func (d docker) digest(ctx context.Context, ref string) (string, error) {
	known, err := d.run(ctx, "image", "inspect", "--format", "{{join .RepoDigests \"\\n\"}}", ref)
	if err != nil {
		return "", err
	}
	repository := ref[:strings.LastIndex(ref, ":")]
	for line := range strings.Lines(known) {
		if digest, ok := strings.CutPrefix(strings.TrimSpace(line), repository+"@"); ok {
			return digest, nil
		}
	}
	return "", fmt.Errorf("docker knows no digest of %s, but: %s", ref, known)
}

func (d docker) use(ctx context.Context, _ testbed.Image, ref string) (string, error) {
	return d.run(ctx, "run", "--rm", "--network", "none", ref)
}

// build builds with BuildKit, which asks registries by itself, not through the
// daemon, and keeps what it built with.
func (d docker) build(ctx context.Context, base, ref string) error {
	if _, err := d.feed(ctx, onTopOf(base), "build", "--tag", ref, "-"); err != nil {
		return err
	}
	return d.do(ctx, "builder", "prune", "--all", "--force")
}
