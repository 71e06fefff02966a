package clients

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// buildKit is BuildKit without Docker.
type buildKit struct {
	command
	mirroredAll
}

func startBuildKit(t *testing.T, p *place) client {
	host := p.site.StartWorkshop(t, "buildkit",
		p.bed.Tool(t, "buildkitd"), "--config", testbed.BuildKitConfig, "--root", "/var/lib/containerd/buildkit")
	b := buildKit{command: newCommand(t, host, p.bed.Tool(t, "buildctl"))}
	// Otherwise a trace that cannot be delivered within 50 ms is a failure.
	b.env = append(b.env, "OTEL_TRACES_SAMPLER=always_off")
	host.Await(t, time.Minute, func() error { return b.do(t.Context(), "debug", "workers") })
	return b
}

// login writes what docker login would: buildctl reads it.
func (b buildKit) login(_ context.Context, host, user, password string) error {
	if host == "docker.io" {
		host = "https://index.docker.io/v1/"
	}
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return b.save(fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, auth))
}

func (b buildKit) logout(context.Context, string) error { return b.save("{}") }
func (b buildKit) asksAtLogin() bool                    { return false }

func (b buildKit) save(config string) error {
	file := filepath.Join(b.host.Folder, ".docker/config.json")
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(config), 0o600))
}

// build keeps what it has got: each image has a layer of its own, and a tag is
// asked for each time.
func (b buildKit) build(ctx context.Context, dockerfile string) (string, error) {
	return b.buildAs(ctx, dockerfile)
}

// publish tells buildctl whom to trust: it gets the token for the push, and not the
// daemon, which knows.
func (b buildKit) publish(ctx context.Context, dockerfile, ref string) error {
	_, err := b.buildAs(ctx, dockerfile, "--output", "type=image,push=true,name="+ref,
		"--registry-auth-tlscontext", "host="+testbed.RegistryHost+",ca="+testbed.TrustedDir+"/ca.crt")
	return err
}

func (b buildKit) buildAs(ctx context.Context, dockerfile string, options ...string) (string, error) {
	if err := os.WriteFile(filepath.Join(b.host.Folder, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return "", err
	}
	return b.hear(ctx, "", append([]string{"build", "--progress", "plain", "--no-cache", "--frontend", "dockerfile.v0",
		"--opt", "force-network-mode=none", "--opt", "image-resolve-mode=pull",
		"--local", "context=" + b.host.Folder, "--local", "dockerfile=" + b.host.Folder}, options...)...)
}
