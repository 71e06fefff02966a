package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// buildThemselves has each builder of a Docker daemon build the project's image from
// its Dockerfile, which names a public image that is only here. What comes out is
// the image that was built without a registry; it runs, and serves.
func buildThemselves(t *testing.T, all []*world) {
	w := all[0]
	w.registry.Push(t, w.bed.Golang(t), testbed.GolangName(t))
	want := w.engine.Layers(t, w.engine.Project(t))
	for _, w := range all {
		const name = "self:built"
		build := w.client.(dockerBuild)
		build.project(t, name)
		if layers := build.layers(t, name); !slices.Equal(layers, want) {
			t.Errorf("%s: it has the layers %v, want %v", w.tool, layers, want)
		}
		build.serve(t, name)
	}
}

// project builds the project's image.
func (b dockerBuild) project(t *testing.T, name string) {
	t.Helper()
	source := filepath.Join(b.docker.host.Folder, "source")
	must(t, os.Mkdir(source, 0o755))
	for _, part := range testbed.Project {
		_, err := testbed.Run(exec.Command("cp", "--recursive", filepath.Join(testbed.Root(t), part), source))
		must(t, err)
	}
	must(t, b.docker.do(t.Context(), "build", "--network", "none", "--tag", name, source))
}

// layers are the digests of those of an image that was built.
func (b dockerBuild) layers(t *testing.T, name string) (layers []string) {
	t.Helper()
	said := the(b.docker.run(t.Context(), "image", "inspect", "--format", "{{json .RootFS.Layers}}", name))(t)
	must(t, json.Unmarshal([]byte(said), &layers))
	return layers
}

// serve runs an image of the registry with nothing set, and asks it over TLS.
func (b dockerBuild) serve(t *testing.T, name string) {
	t.Helper()
	const container = "self"
	must(t, b.docker.do(t.Context(), "run", "--detach", "--network", "host", "--name", container, name))
	b.docker.host.Await(t, time.Minute, func() error {
		return b.docker.do(t.Context(), "exec", container, "/usr/bin/zuul-registry", "health")
	})
	file := filepath.Join(b.docker.host.Folder, "cert.pem")
	must(t, b.docker.do(t.Context(), "cp", container+":/data/tls/cert.pem", file))
	pem, err := os.ReadFile(file)
	must(t, err)
	response, err := testbed.ClientOf(b.docker.host.IPv4+":9000", pem).Get("https://localhost:9000/healthz")
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		t.Errorf("/healthz answers %s", response.Status)
	}
	must(t, b.docker.do(t.Context(), "stop", container))
	if code := the(b.docker.run(t.Context(), "wait", container))(t); code != "0" {
		t.Errorf("it ended with %s", code)
	}
}
