package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// Host is a machine: a container with what is on a node that Zuul would run a
// job on, and in which daemons of containers can run. It knows the names of
// its site.
type Host struct {
	Name string
	IPv4 string
	IPv6 string // if its network has such

	pid    string // of its first process
	stores string // the folder of the tools' own
}

const nodeImage = "node"

// hostOptions are what differs from one host to the other.
type hostOptions struct {
	name     string
	networks []*dockertest.Network // or else the daemon's own
	binds    []string              // FOLDER:PATH, or FOLDER:PATH:ro
	command  []string
}

// entry makes a container more of a machine before its command takes over:
// cgroups can be made below its own, nothing of /proc is hidden from the
// containers in it, and the files that Docker mounts are ones that can be
// replaced. A look-up of a name that is not in them ends at once.
const entry = `
for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if mountpoint -q "$dir"; then mount -o remount,bind,rw "$dir" || exit; fi
done
while read -r _ path _; do
    case $path in /proc/*) umount --lazy "$path" || exit ;; esac
done </proc/mounts
for file in hosts hostname resolv.conf; do
    content=$(cat "/etc/$file")
    umount "/etc/$file" && printf '%s\n' "$content" >"/etc/$file" || exit
done
printf 'nameserver 127.0.0.1\n' >/etc/resolv.conf
: >/run/entered
exec "$@"
`

var systemd = []string{"/sbin/init"}

// startHost starts a host, and returns when its command has taken over.
func (s *Site) startHost(t *testing.T, o hostOptions) *Host {
	t.Helper()
	s.engine.importNode(t)
	stores := s.bed.store(t, o.name)
	container := s.engine.Start(t, &dockertest.RunOptions{
		Name:       o.name,
		Hostname:   o.name,
		Repository: nodeImage,
		Networks:   o.networks,
		ExtraHosts: s.extraHosts(),
		Env:        []string{"container=docker"}, // which systemd asks for
		Entrypoint: []string{"/bin/sh", "-c", entry, "entry"},
		Cmd:        o.command,
		// Every capability but the one that the test machine may not have itself.
		CapAdd:      []string{"ALL"},
		SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"},
	}, func(c *docker.HostConfig) {
		c.CapDrop = []string{"SYS_RESOURCE"}
		c.Tmpfs = map[string]string{"/run": "", "/run/lock": "", "/tmp": "exec,mode=1777"}
		c.Init = o.command[0] != systemd[0] // reaps what a command leaves behind
		c.PublishAllPorts = false
		c.Binds = append(o.binds, volumes(stores)...)
	})
	h := &Host{
		Name: o.name,
		IPv4: container.Container.NetworkSettings.IPAddress,
		pid:  strconv.Itoa(container.Container.State.Pid),

		stores: stores,
	}
	for _, network := range container.Container.NetworkSettings.Networks {
		h.IPv4, h.IPv6 = network.IPAddress, network.GlobalIPv6Address
	}
	h.Await(t, time.Minute, func() error {
		_, err := h.Try(t, "test", "-e", "/run/entered")
		return err
	})
	return h
}

// volumes are for the stores of the tools: overlays cannot be laid over the
// container's own.
func volumes(dir string) (binds []string) {
	for _, store := range []string{"docker", "containers", "containerd"} {
		binds = append(binds, filepath.Join(dir, store)+":/var/lib/"+store)
	}
	return binds
}

// Store is the path here of a folder below the host's /var/lib: of docker,
// containers or containerd.
func (h *Host) Store(name string) string { return filepath.Join(h.stores, name) }

// importNode gives the daemon the image of all hosts. The bed has prepared Node.
func (e *Engine) importNode(t *testing.T) {
	t.Helper()
	if e.has(t, nodeImage) {
		return
	}
	file, err := os.Open(e.bed.nodeLayer(t))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := e.Pool.Client.ImportImage(docker.ImportImageOptions{
		Repository: nodeImage, Source: "-", InputStream: file, Context: t.Context(),
	}); err != nil {
		t.Fatal(err)
	}
}

// Await waits until something on the host is ready, which is then no error.
func (h *Host) Await(t *testing.T, limit time.Duration, ready func() error) {
	t.Helper()
	if err := await(t.Context(), limit, nil, ready); err != nil {
		t.Fatalf("%s is not ready: %v", h.Name, err)
	}
}

// Command is a command on the host, as root, with further environment
// variables. It enters the namespaces of the container by itself, which takes a
// tenth of what the daemon would take for it.
func (h *Host) Command(ctx context.Context, env []string, command ...string) *exec.Cmd {
	entered := exec.CommandContext(ctx, nsenter, slices.Concat(
		[]string{"--target", h.pid, "--all", "env", "--ignore-environment"},
		[]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		env, command,
	)...)
	// What it forks must end with it, and what that leaves behind is not waited for.
	entered.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	entered.Cancel = func() error { return syscall.Kill(-entered.Process.Pid, syscall.SIGKILL) }
	entered.WaitDelay = 5 * time.Second
	return entered
}

const nsenter = "nsenter"

// Try runs a command on the host as root, and returns what it printed. The
// error of one that failed holds all that it wrote.
func (h *Host) Try(t *testing.T, command ...string) (string, error) {
	t.Helper()
	return Run(h.Command(t.Context(), nil, command...))
}

// Run runs a command on the host as root, and returns what it printed.
func (h *Host) Run(t *testing.T, command ...string) string {
	t.Helper()
	out, err := h.Try(t, command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Write puts a file on the host, and makes its folder if there is none.
func (h *Host) Write(t *testing.T, path string, mode uint32, content []byte) {
	t.Helper()
	const put = `mkdir -p "$1" && cat >"$2" && chmod "$3" "$2"`
	h.feed(t, content, "sh", "-c", put, "put", filepath.Dir(path), path, fmt.Sprintf("%o", mode))
}

// Load gives an image to a tool on the host, docker or podman, as a name, and
// to a user's own store if the tool has such.
func (h *Host) Load(t *testing.T, user, tool string, image Image, name string) {
	t.Helper()
	archive, err := os.ReadFile(image.Archive)
	if err != nil {
		t.Fatal(err)
	}
	asUser := []string{"sudo", "--login", "--user", user, tool}
	h.feed(t, archive, append(asUser, "load")...)
	h.Run(t, append(asUser, "tag", image.ID, name)...)
}

// Read is the content of a file on the host.
func (h *Host) Read(t *testing.T, path string) string {
	t.Helper()
	out, err := h.Command(t.Context(), nil, "cat", path).Output()
	if err != nil {
		t.Fatalf("read %s on %s: %v", path, h.Name, err)
	}
	return string(out)
}

// feed runs a command that reads something.
func (h *Host) feed(t *testing.T, input []byte, command ...string) {
	t.Helper()
	run := h.Command(t.Context(), nil, command...)
	run.Stdin = strings.NewReader(string(input))
	if _, err := Run(run); err != nil {
		t.Fatal(err)
	}
}
