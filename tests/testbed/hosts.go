package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Hosts are machines on a network of their own, with IPv4 and IPv6. Each is a
// container with what is on a node that Zuul would run a job on, and has the
// user zuul, who may become root. They know each other's names, and those of
// the upstreams, which are there if they are started; there are no others.
type Hosts struct {
	Intermediate *Host // has systemd
	Executor     *Host // has no systemd
	Builder      *Host // has systemd, and daemons of Docker and containerd

	bed    *Bed
	socket string // of the daemon that they run in
	all    []*Host
}

// Host is one of them.
type Host struct {
	Name string
	IPv4 string
	IPv6 string

	socket string
}

// HostsTools are what StartHosts and the plays need.
var HostsTools = append([]string{playbookPlayer}, DockerTools...)

const (
	nodeImage   = "node"
	nodeNetwork = "nodes"
	nodeIPv4    = "10.98.0."
	nodeIPv6    = "fd00:98::"
	nodeUser    = "zuul"
)

// StartHosts starts the three hosts for the test. The bed has prepared Node.
func (b *Bed) StartHosts(t *testing.T) *Hosts {
	t.Helper()
	Need(t, HostsTools...)
	layer := b.nodeLayer(t)
	// The image is imported once. IPv6 needs rules of the firewall, which this
	// Docker takes for an experiment.
	socket := b.startDocker(t, b.path("hosts"), "--experimental", "--ip6tables")
	h := &Hosts{bed: b, socket: socket}
	if h.run(t, "images", "--quiet", nodeImage) == "" {
		h.run(t, "import", layer, nodeImage)
	}
	h.run(t, "network", "create", "--subnet", nodeIPv4+"0/24", "--ipv6", "--subnet", nodeIPv6+"/64", nodeNetwork)
	t.Cleanup(func() { h.run(t, "network", "rm", nodeNetwork) }) // or it would be in the way of the next one

	h.Intermediate = h.add("intermediate")
	h.Executor = h.add("executor")
	h.Builder = h.add("builder")
	h.start(t, h.Intermediate, systemd...)
	h.start(t, h.Executor, "sleep", "infinity")
	h.start(t, h.Builder, systemd...)
	for _, host := range h.all {
		host.settle(t)
	}
	h.Intermediate.awaitBoot(t)
	h.Builder.awaitBoot(t)
	return h
}

// add gives a host its addresses.
func (h *Hosts) add(name string) *Host {
	n := 10 + len(h.all)
	host := &Host{
		Name:   name,
		IPv4:   fmt.Sprint(nodeIPv4, n),
		IPv6:   fmt.Sprint(nodeIPv6, n),
		socket: h.socket,
	}
	h.all = append(h.all, host)
	return host
}

var systemd = []string{"/sbin/init"}

// entry makes a container more of a machine before its command takes over:
// cgroups can be made below its own, and the files that Docker mounts are ones
// that can be replaced. A look-up of a name that is not in them ends at once.
const entry = `
for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if mountpoint -q "$dir"; then mount -o remount,bind,rw "$dir" || exit; fi
done
for file in hosts hostname resolv.conf; do
    content=$(cat "/etc/$file")
    umount "/etc/$file" && printf '%s\n' "$content" >"/etc/$file" || exit
done
printf 'nameserver 127.0.0.1\n' >/etc/resolv.conf
: >/run/entered
exec "$@"
`

// start starts the container of a host. Every capability but the one that the
// test machine may not have itself lets daemons of containers run in it.
func (h *Hosts) start(t *testing.T, host *Host, command ...string) {
	t.Helper()
	options := []string{
		"run", "--detach",
		"--name", host.Name, "--hostname", host.Name,
		"--network", nodeNetwork, "--ip", host.IPv4, "--ip6", host.IPv6,
		"--add-host", hubName + ":" + hubAddress, "--add-host", quayName + ":" + quayAddress,
		"--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE",
		"--security-opt", "seccomp=unconfined",
		"--security-opt", "apparmor=unconfined",
		"--security-opt", "systempaths=unconfined",
		"--cgroupns", "private",
		"--env", "container=docker", // which systemd asks for
		"--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec,mode=1777",
		// Overlays cannot be laid over the container's own.
		"--volume", "/var/lib/docker", "--volume", "/var/lib/containers", "--volume", "/var/lib/containerd",
	}
	for _, other := range h.all {
		if other != host {
			options = append(options, "--add-host", other.Name+":"+other.IPv4, "--add-host", other.Name+":"+other.IPv6)
		}
	}
	if command[0] != systemd[0] {
		options = append(options, "--init") // reaps what a command leaves behind
	}
	options = append(options, nodeImage, "/bin/sh", "-c", entry, "entry")
	h.run(t, append(options, command...)...)
	t.Cleanup(func() { h.run(t, "rm", "--force", "--volumes", host.Name) })
}

// run runs the client of the daemon that the hosts run in.
func (h *Hosts) run(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := Run(exec.Command(Docker, append([]string{"--host", h.socket}, arguments...)...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// settle gives a host its user, and what an administrator of the test machine
// would write there.
func (h *Host) settle(t *testing.T) {
	t.Helper()
	h.await(t, func() error {
		_, err := h.Try(t, "test", "-e", "/run/entered")
		return err
	})
	h.Run(t, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "docker", nodeUser)
	h.Write(t, "/etc/sudoers.d/"+nodeUser, 0o440, []byte(nodeUser+" ALL=(ALL) NOPASSWD:ALL\n"))
	for _, file := range []string{"/etc/containers/containers.conf", "/etc/containers/policy.json"} {
		h.Write(t, file, 0o644, []byte(configuration[file]))
	}
}

// awaitBoot waits until systemd has started everything.
func (h *Host) awaitBoot(t *testing.T) {
	t.Helper()
	h.await(t, func() error {
		// Before systemd answers there is nothing that could wait.
		_, err := h.Try(t, "systemctl", "is-system-running", "--wait")
		if err != nil && strings.Contains(err.Error(), "degraded") {
			t.Fatalf("%s has started, but for:\n%s", h.Name, h.Run(t, "systemctl", "list-units", "--failed"))
		}
		return err
	})
}

func (h *Host) await(t *testing.T, ready func() error) {
	t.Helper()
	const limit = 60 * time.Second
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(limit)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s is not ready after %v: %v", h.Name, limit, err)
		case <-again.C:
		}
	}
}

// Try runs a command on the host as root, and returns what it printed. The
// error of one that failed holds all that it wrote.
func (h *Host) Try(t *testing.T, command ...string) (string, error) {
	t.Helper()
	return h.feed(t, nil, command...)
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
	if _, err := h.feed(t, content, "sh", "-c", put, "put", filepath.Dir(path), path, fmt.Sprintf("%o", mode)); err != nil {
		t.Fatal(err)
	}
}

// Load gives an image to a tool on the host, docker or podman, as a name, and
// to a user's own store if the tool has such.
func (h *Host) Load(t *testing.T, user, tool string, image Image, name string) {
	t.Helper()
	archive, err := os.ReadFile(image.Archive)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		input   []byte
		command []string
	}{
		{archive, []string{tool, "load"}},
		{nil, []string{tool, "tag", image.ID, name}},
	} {
		command := append([]string{"sudo", "--login", "--user", user}, step.command...)
		if _, err := h.feed(t, step.input, command...); err != nil {
			t.Fatal(err)
		}
	}
}

// Read is the content of a file on the host.
func (h *Host) Read(t *testing.T, path string) string {
	t.Helper()
	out, err := h.command(t, "cat", path).Output()
	if err != nil {
		t.Fatalf("read %s on %s: %v", path, h.Name, err)
	}
	return string(out)
}

func (h *Host) feed(t *testing.T, input []byte, command ...string) (string, error) {
	t.Helper()
	run := h.command(t, command...)
	run.Stdin = strings.NewReader(string(input))
	return Run(run)
}

func (h *Host) command(t *testing.T, command ...string) *exec.Cmd {
	t.Helper()
	arguments := append([]string{"--host", h.socket, "exec", "--interactive", h.Name}, command...)
	return exec.CommandContext(t.Context(), Docker, arguments...)
}
