package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// docker is Docker's command line with a daemon of its own.
type docker struct{ accounts }

func startDocker(t *testing.T, p *place) client { return newDocker(t, p, "dockerd") }

func newDocker(t *testing.T, p *place, daemon ...string) docker {
	t.Helper()
	host := p.site.StartWorkshop(t, "docker", append(daemon, "--log-level", "warn")...)
	d := docker{accounts{newCommand(t, host, "docker")}}
	host.Await(t, time.Minute, func() error { return d.do(t.Context(), "version") })
	return d
}

// version is the daemon's.
func (d docker) version(ctx context.Context) (string, error) {
	version, err := d.run(ctx, "version", "--format", "{{.Server.Version}}")
	version, _, _ = strings.Cut(version, "+")
	return version, err
}

func (d docker) namespaces() []string { return []string{"docker.io"} }

func (d docker) load(ctx context.Context, image testbed.Image, ref string) error {
	return rename(ctx, d, d.do(ctx, "load", "--input", image.Archive), image.Loaded, ref)
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

// pushList has the registry asked by the command itself, not by the daemon.
func (d docker) pushList(ctx context.Context, list string, images ...string) error {
	d.env = append(slices.Clone(d.env), "DOCKER_CLI_EXPERIMENTAL=enabled") // which it still was for this one
	if err := d.do(ctx, append([]string{"manifest", "create", list}, images...)...); err != nil {
		return err
	}
	return d.do(ctx, "manifest", "push", "--purge", list)
}

// dockerBuild is what a Docker daemon builds with.
type dockerBuild struct{ docker docker }

// startDockerBuild is BuildKit, which asks registries by itself and not through
// the daemon, or else the legacy builder.
func startDockerBuild(buildKit string) func(t *testing.T, p *place) client {
	return func(t *testing.T, p *place) client {
		d := newDocker(t, p, "dockerd")
		d.env = append(d.env, "DOCKER_BUILDKIT="+buildKit)
		return dockerBuild{d}
	}
}

func (b dockerBuild) version(ctx context.Context) (string, error) { return b.docker.version(ctx) }
func (b dockerBuild) namespaces() []string                        { return b.docker.namespaces() }
func (b dockerBuild) asksAtLogin() bool                           { return true }

func (b dockerBuild) login(ctx context.Context, host, user, password string) error {
	return b.docker.login(ctx, host, user, password)
}

func (b dockerBuild) logout(ctx context.Context, host string) error {
	return b.docker.logout(ctx, host)
}

func (b dockerBuild) build(ctx context.Context, dockerfile string) (string, error) {
	said, err := b.docker.hear(ctx, dockerfile, "build", "--network", "none", "--pull", "--no-cache", "-")
	if err != nil {
		return "", err
	}
	return said, b.forget(ctx)
}

func (b dockerBuild) publish(ctx context.Context, dockerfile, ref string) error {
	_, err := b.docker.hear(ctx, dockerfile, "build", "--network", "none", "--pull", "--tag", ref, "-")
	if err == nil {
		err = b.docker.push(ctx, ref)
	}
	return errors.Join(err, b.forget(ctx))
}

func (b dockerBuild) forget(ctx context.Context) error {
	return b.docker.do(ctx, "system", "prune", "--all", "--force")
}
