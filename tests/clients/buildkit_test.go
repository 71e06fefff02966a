package clients

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// buildKit is BuildKit without Docker.
type buildKit struct{ command }

func startBuildKit(t *testing.T, w *place) client {
	host := w.site.StartWorkshop(t, w.engine, "buildkit",
		w.bed.Tool(t, "buildkitd"), "--config", testbed.BuildKitConfig, "--root", "/var/lib/containerd/buildkit")
	b := buildKit{newCommand(t, host, w.bed.Tool(t, "buildctl"))}
	// Otherwise a trace that cannot be delivered within 50 ms is a failure.
	b.env = append(b.env, "OTEL_TRACES_SAMPLER=always_off")
	host.Await(t, time.Minute, func() error { return b.do(t.Context(), "debug", "workers") })
	return b
}

func (b buildKit) namespaces() []string { return []string{"docker.io", "quay.io"} }

// build keeps what it has got. Each image has a layer of its own, and a tag is
// asked for each time.
func (b buildKit) build(ctx context.Context, dockerfile string) (string, error) {
	if err := os.WriteFile(filepath.Join(b.host.Folder, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return "", err
	}
	return b.hear(ctx, "", "build", "--progress", "plain", "--no-cache", "--frontend", "dockerfile.v0",
		"--opt", "force-network-mode=none", "--opt", "image-resolve-mode=pull",
		"--local", "context="+b.host.Folder, "--local", "dockerfile="+b.host.Folder)
}
