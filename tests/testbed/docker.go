package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// DockerTools are what StartDocker and a user of its daemon need. The client
// is Debian's, of the daemon's age, whatever else is in the PATH.
var DockerTools = []string{Docker, "dockerd", "iptables", "runc"}

// Docker is the command-line client.
const Docker = "/usr/bin/docker"

// StartDocker starts a Docker daemon for the test, which has no images, and
// returns the URL of its socket.
func (b *Bed) StartDocker(t *testing.T) string {
	t.Helper()
	return b.startDocker(t, b.Folder(t, "docker-data"))
}

// startDocker starts one that keeps what it has in the folder data.
func (b *Bed) startDocker(t *testing.T, data string, options ...string) string {
	t.Helper()
	Need(t, DockerTools...)
	dir := b.Folder(t, "docker")
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	daemon := exec.Command("dockerd", append([]string{
		"--host", socket,
		"--data-root", data,
		"--exec-root", filepath.Join(dir, "run"),
		"--pidfile", filepath.Join(dir, "pid"),
		"--cgroup-parent", cgroup(b.dir),
		"--log-level", "warn",
	}, options...)...)
	daemon.Env = os.Environ()
	start(t, dir, 30*time.Second, daemon).await(t, 30*time.Second, func() error {
		_, err := Run(exec.CommandContext(t.Context(), Docker, "--host", socket, "version"))
		return err
	})
	return socket
}
