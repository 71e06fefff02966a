package testbed

import (
	"strings"
	"testing"
	"time"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// Hosts are machines on a network of their own, with IPv4 and IPv6. Each has
// the user zuul, who may become root. They know each other's names, and those
// of their site; there are no others.
type Hosts struct {
	Intermediate *Host // has systemd
	Executor     *Host // has no systemd
	Builder      *Host // has systemd, and daemons of Docker and containerd

	bed    *Bed
	socket string // of the daemon that they run in
	all    []*Host
}

const nodeUser = "zuul"

// StartHosts starts the three hosts for the test. The bed has prepared Node.
func (s *Site) StartHosts(t *testing.T) *Hosts {
	t.Helper()
	Need(t, playbookPlayer)
	networks := []*dockertest.Network{s.engine.network(t)}
	h := &Hosts{bed: s.bed, socket: s.engine.socket}
	for _, each := range []struct {
		host    **Host
		name    string
		command []string
	}{
		{&h.Intermediate, "intermediate", systemd},
		{&h.Executor, "executor", []string{"sleep", "infinity"}},
		{&h.Builder, "builder", systemd},
	} {
		*each.host = s.startHost(t, hostOptions{name: each.name, networks: networks, command: each.command})
		h.all = append(h.all, *each.host)
	}
	for _, host := range h.all {
		h.settle(t, host)
	}
	h.Intermediate.awaitBoot(t)
	h.Builder.awaitBoot(t)
	return h
}

// network makes the hosts' network, which is gone before another test makes it.
func (e *Engine) network(t *testing.T) *dockertest.Network {
	t.Helper()
	network, err := e.Pool.CreateNetwork("nodes", func(o *docker.CreateNetworkOptions) {
		o.EnableIPv6 = true
		o.IPAM = &docker.IPAMOptions{Config: []docker.IPAMConfig{{Subnet: "10.98.0.0/24"}, {Subnet: "fd00:98::/64"}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Pool.RemoveNetwork(network); err != nil {
			t.Error(err)
		}
	})
	return network
}

// settle gives a host its user, the names of the others, and what an
// administrator of the test machine would write there.
func (h *Hosts) settle(t *testing.T, host *Host) {
	t.Helper()
	host.Run(t, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "docker", nodeUser)
	host.Write(t, "/etc/sudoers.d/"+nodeUser, 0o440, []byte(nodeUser+" ALL=(ALL) NOPASSWD:ALL\n"))
	for _, file := range []string{"containers.conf", "policy.json"} {
		host.Write(t, "/etc/containers/"+file, 0o644, []byte(containers[file]))
	}
	known := host.Read(t, "/etc/hosts")
	for _, other := range h.all {
		if other != host {
			known += other.IPv4 + " " + other.Name + "\n" + other.IPv6 + " " + other.Name + "\n"
		}
	}
	host.Write(t, "/etc/hosts", 0o644, []byte(known))
}

// awaitBoot waits until systemd has started everything.
func (h *Host) awaitBoot(t *testing.T) {
	t.Helper()
	h.Await(t, time.Minute, func() error {
		// Before systemd answers there is nothing that could wait.
		_, err := h.Try(t, "systemctl", "is-system-running", "--wait")
		if err != nil && strings.Contains(err.Error(), "degraded") {
			t.Fatalf("%s has started, but for:\n%s", h.Name, h.Run(t, "systemctl", "list-units", "--failed"))
		}
		return err
	})
}
