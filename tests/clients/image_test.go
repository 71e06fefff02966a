package clients

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"testing"

	"github.com/ory/dockertest/v3"
	dc "github.com/ory/dockertest/v3/docker"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestImage runs the project's image with nothing set.
func TestImage(t *testing.T) {
	bed := testbed.Open(t)
	engine := bed.StartEngine(t)
	image, err := engine.Pool.Client.InspectImage(engine.Project(t))
	must(t, err)
	if user := image.Config.User; user == "" || user == "root" || user == "0" {
		t.Errorf("the image runs as %q, want another user than root", user)
	}
	container := engine.Start(t, &dockertest.RunOptions{
		Name: "image", Repository: "zuul-registry", Tag: "built",
	})
	awaitHealth(t, engine, container)
	greet(t, engine, container.Container)
	engine.End(t, container)
}

// awaitHealth waits for the verdict of the image's own health check.
func awaitHealth(t *testing.T, engine *testbed.Engine, container *dockertest.Resource) {
	t.Helper()
	must(t, engine.Pool.Retry(func() error {
		now, err := engine.Pool.Client.InspectContainer(container.Container.ID)
		if err != nil {
			return err
		}
		if now.State.Health.Status != "healthy" {
			return fmt.Errorf("the container is %s, its health %q", now.State.StateString(), now.State.Health.Status)
		}
		return nil
	}))
}

// greet asks for the health from outside of the container, over TLS verified
// with the certificate that was made in its volume.
func greet(t *testing.T, engine *testbed.Engine, container *dc.Container) {
	t.Helper()
	if len(container.Mounts) != 1 {
		t.Fatalf("the container has the volumes %v, want one", container.Mounts)
	}
	pem := read(t, engine, container, path.Join(container.Mounts[0].Destination, "tls/cert.pem"))
	response, err := testbed.ClientOf(container.NetworkSettings.IPAddress+":9000", pem).Get("https://localhost:9000/healthz")
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		t.Errorf("/healthz answers %s", response.Status)
	}
}

// read reads a file in the container.
func read(t *testing.T, engine *testbed.Engine, container *dc.Container, file string) []byte {
	t.Helper()
	var archive bytes.Buffer
	must(t, engine.Pool.Client.DownloadFromContainer(container.ID, dc.DownloadFromContainerOptions{
		Path: file, OutputStream: &archive, Context: t.Context(),
	}))
	files := tar.NewReader(&archive)
	_, err := files.Next()
	must(t, err)
	content, err := io.ReadAll(files)
	must(t, err)
	return content
}
