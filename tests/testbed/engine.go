package testbed

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// Engine is a Docker daemon of the tests' own. Whatever a test starts that
// should not share a machine with the rest is a container in it.
type Engine struct {
	Pool *dockertest.Pool

	socket   string // the URL of the daemon's
	bed      *Bed
	building sync.Mutex // of the project's image
}

// StartEngine starts the daemon for the test. The images that it has it keeps
// for the next one.
func (b *Bed) StartEngine(t *testing.T) *Engine {
	t.Helper()
	Need(t, "dockerd", "iptables", "runc", nsenter)
	dir := b.Folder(t, "engine")
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	daemon := exec.Command("dockerd",
		"--host", socket,
		"--data-root", b.path("engine"),
		"--exec-root", filepath.Join(dir, "run"),
		"--pidfile", filepath.Join(dir, "pid"),
		"--cgroup-parent", cgroup(b.dir),
		"--default-cgroupns-mode", "private",
		"--experimental", "--ip6tables", // this Docker takes rules of the firewall for IPv6 for an experiment
		"--log-level", "warn",
	)
	daemon.Env = os.Environ()
	pool, err := dockertest.NewPool(socket)
	if err != nil {
		t.Fatal(err)
	}
	pool.MaxWait = 90 * time.Second
	start(t, dir, 30*time.Second, daemon).await(t, 30*time.Second, pool.Client.Ping)
	return &Engine{Pool: pool, socket: socket, bed: b}
}

// has tells whether the daemon has an image.
func (e *Engine) has(t *testing.T, image string) bool {
	t.Helper()
	_, err := e.Pool.Client.InspectImage(image)
	if err != nil && !errors.Is(err, docker.ErrNoSuchImage) {
		t.Fatal(err)
	}
	return err == nil
}

// Layers are the digests of the uncompressed layers of an image.
func (e *Engine) Layers(t *testing.T, image string) []string {
	t.Helper()
	found, err := e.Pool.Client.InspectImage(image)
	if err != nil {
		t.Fatal(err)
	}
	return found.RootFS.Layers
}

// Load gives the daemon an image, by a name with a tag.
func (e *Engine) Load(t *testing.T, image Image, name string) {
	t.Helper()
	e.load(t, image.Archive)
	repository, tag := split(name)
	if err := e.Pool.Client.TagImage(image.ID, docker.TagImageOptions{Repo: repository, Tag: tag, Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
}

// load gives the daemon the images in an archive.
func (e *Engine) load(t *testing.T, archive string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := e.Pool.Client.LoadImage(docker.LoadImageOptions{InputStream: file, Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
}

// split is a reference as its repository and tag.
func split(ref string) (repository, tag string) {
	colon := strings.LastIndex(ref, ":")
	return ref[:colon], ref[colon+1:]
}

// Start starts a container, which is removed after the test. What it wrote is
// shown if the test failed.
func (e *Engine) Start(t *testing.T, options *dockertest.RunOptions, adjust ...func(*docker.HostConfig)) *dockertest.Resource {
	t.Helper()
	container, err := e.Pool.RunWithOptions(options, adjust...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the container %s wrote:\n%s", options.Name, e.log(container))
		}
		if err := e.Pool.Purge(container); err != nil {
			t.Error(err)
		}
	})
	return container
}

// log is the end of what a container wrote.
func (e *Engine) log(container *dockertest.Resource) string {
	var said bytes.Buffer
	if err := e.Pool.Client.Logs(docker.LogsOptions{
		Container: container.Container.ID, Tail: "200",
		Stdout: true, Stderr: true, OutputStream: &said, ErrorStream: &said,
	}); err != nil {
		return err.Error()
	}
	return said.String()
}

// End ends a container as Docker does that holds the server. That must drain
// before Docker's patience ends, and end well.
func (e *Engine) End(t *testing.T, container *dockertest.Resource) {
	t.Helper()
	id := container.Container.ID
	if err := e.Pool.Client.KillContainer(docker.KillContainerOptions{ID: id, Signal: docker.SIGTERM}); err != nil {
		t.Fatal(err)
	}
	const patience = 10 * time.Second // of Docker's, by default
	ctx, release := context.WithTimeout(context.Background(), patience)
	defer release()
	code, err := e.Pool.Client.WaitContainerWithContext(id, ctx)
	if err != nil {
		t.Fatalf("after SIGTERM and %v: %v", patience, err)
	}
	if code != 0 {
		t.Errorf("after SIGTERM the container ended with %d", code)
	}
}
