// Package image proves the container image that the Dockerfile makes.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

const (
	project = "../.."
	name    = "zuul-registry"
)

func TestMain(m *testing.M) {
	testbed.Main(m, testbed.Debian, testbed.Golang)
}

// TestImage builds the image as a user would, which gives the same one each
// time, and runs it with nothing set.
func TestImage(t *testing.T) {
	bed := testbed.Open(t)
	socket := bed.StartDocker(t)
	pool, err := dockertest.NewPool(socket)
	if err != nil {
		t.Fatal(err)
	}
	provideBase(t, bed, socket)
	once, again := build(t, pool), build(t, pool)
	if !slices.Equal(once, again) {
		t.Errorf("two builds made different layers: %v and %v", once, again)
	}

	container := run(t, pool)
	awaitHealth(t, pool, container)
	greet(t, pool, container)
	end(t, pool, container)
}

// provideBase puts the image that the Dockerfile builds in where Docker looks
// before it pulls.
func provideBase(t *testing.T, bed *testbed.Bed, socket string) {
	t.Helper()
	golang := bed.Golang(t)
	for _, arguments := range [][]string{
		{"load", "--input", golang.Archive},
		{"tag", golang.ID, base(t)},
	} {
		if _, err := testbed.Run(exec.Command(testbed.Docker, append([]string{"--host", socket}, arguments...)...)); err != nil {
			t.Fatal(err)
		}
	}
}

// base is the image that the Dockerfile builds in, with its arguments as they
// are by default.
func base(t *testing.T) string {
	t.Helper()
	dockerfile, err := os.ReadFile(path.Join(project, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, arg := range regexp.MustCompile(`(?m)^ARG (\w+)=(\S+)`).FindAllStringSubmatch(string(dockerfile), -1) {
		defaults[arg[1]] = arg[2]
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+) AS `).FindStringSubmatch(string(dockerfile))
	if from == nil {
		t.Fatal("the Dockerfile has no stage to build in")
	}
	return os.Expand(from[1], func(name string) string { return defaults[name] })
}

// build builds the image from the project's folder, with nothing kept from an
// earlier build, and returns the digests of its layers.
func build(t *testing.T, pool *dockertest.Pool) []string {
	t.Helper()
	var said bytes.Buffer
	if err := pool.Client.BuildImage(docker.BuildImageOptions{
		Name:         name,
		Dockerfile:   "Dockerfile",
		ContextDir:   project,
		NoCache:      true,
		OutputStream: &said,
		Context:      t.Context(),
	}); err != nil {
		t.Fatalf("build: %v\n%s", err, &said)
	}
	image, err := pool.Client.InspectImage(name)
	if err != nil {
		t.Fatal(err)
	}
	if user := image.Config.User; user == "" || user == "root" || user == "0" {
		t.Errorf("the image runs as %q, want another user than root", user)
	}
	return image.RootFS.Layers
}

// run starts a container whose log is shown when the test fails.
func run(t *testing.T, pool *dockertest.Pool) *docker.Container {
	t.Helper()
	resource, err := pool.RunWithOptions(&dockertest.RunOptions{Name: name, Repository: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			var said bytes.Buffer
			err := pool.Client.Logs(docker.LogsOptions{
				Container: resource.Container.ID, Stdout: true, Stderr: true, OutputStream: &said, ErrorStream: &said,
			})
			t.Logf("the container wrote (%v):\n%s", err, &said)
		}
		if err := pool.Purge(resource); err != nil {
			t.Error(err)
		}
	})
	return resource.Container
}

// awaitHealth waits for the verdict of the image's own health check.
func awaitHealth(t *testing.T, pool *dockertest.Pool, container *docker.Container) {
	t.Helper()
	pool.MaxWait = 90 * time.Second
	if err := pool.Retry(func() error {
		now, err := pool.Client.InspectContainer(container.ID)
		if err != nil {
			return err
		}
		if now.State.Health.Status != "healthy" {
			return fmt.Errorf("the container is %s, its health %q", now.State.StateString(), now.State.Health.Status)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// greet asks for the health from outside of the container, over TLS verified
// with the certificate that was made in its volume.
func greet(t *testing.T, pool *dockertest.Pool, container *docker.Container) {
	t.Helper()
	if len(container.Mounts) != 1 {
		t.Fatalf("the container has the volumes %v, want one", container.Mounts)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(t, pool, container, path.Join(container.Mounts[0].Destination, "tls/cert.pem")))
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "localhost"},
		DisableKeepAlives: true,
	}}
	response, err := client.Get("https://" + container.NetworkSettings.IPAddress + ":9000/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/healthz answers %s", response.Status)
	}
}

// read reads a file in the container.
func read(t *testing.T, pool *dockertest.Pool, container *docker.Container, file string) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := pool.Client.DownloadFromContainer(container.ID, docker.DownloadFromContainerOptions{
		Path: file, OutputStream: &archive, Context: t.Context(),
	}); err != nil {
		t.Fatal(err)
	}
	files := tar.NewReader(&archive)
	if _, err := files.Next(); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(files)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// end stops the container as Docker does. The server drains within 5 s, which
// is before Docker's patience ends, and ends well.
func end(t *testing.T, pool *dockertest.Pool, container *docker.Container) {
	t.Helper()
	begin := time.Now()
	if err := pool.Client.KillContainer(docker.KillContainerOptions{ID: container.ID, Signal: docker.SIGTERM}); err != nil {
		t.Fatal(err)
	}
	code, err := pool.Client.WaitContainerWithContext(container.ID, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); code != 0 || took > 5*time.Second {
		t.Errorf("after SIGTERM the container ended with %d in %v", code, took)
	}
}
