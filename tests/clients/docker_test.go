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
	return docker{account{newCommand(t, bed.Folder(t, "docker"), testbed.Docker, "--host", daemon)}}
}

func (d docker) load(ctx context.Context, image testbed.Image, ref string) error {
	if err := d.do(ctx, "load", "--input", image.Archive); err != nil {
		return err
	}
	return d.do(ctx, "tag", image.ID, ref)
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
