package roles

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// way is one of those in which there are registries: on a host, with variables
// of the role, and ended by a command that the role does not know of.
type way struct {
	name      string
	host      *testbed.Host
	ipv6      bool
	variables map[string]any
	stop      []string
}

// buildsetWays are the ways of buildset registries.
func buildsetWays(t *testing.T, bed *testbed.Bed, hosts *testbed.Hosts) []way {
	t.Helper()
	server := bed.Server(t)
	hosts.Intermediate.Load(t, "zuul", "docker", server, image)
	hosts.Builder.Load(t, "zuul", "podman", server, image)
	return []way{
		{
			name: "as a service",
			host: hosts.Builder,
			stop: []string{"systemctl", "stop", "buildset_registry"},
		},
		{
			name:      "as a process, known by an IPv6 address, with two endpoints",
			host:      hosts.Executor,
			ipv6:      true,
			variables: map[string]any{"buildset_registry_push_port": 5001},
			stop:      []string{"pkill", "--signal", "KILL", "--exact", "zuul-registry"},
		},
		{
			name:      "in Docker",
			host:      hosts.Intermediate,
			variables: inContainer("docker", 5010),
			stop:      []string{"docker", "stop", "buildset_registry_5010"},
		},
		{
			name:      "in Podman, known by an IPv6 address, with two endpoints",
			host:      hosts.Builder,
			ipv6:      true,
			variables: inContainer("podman", 5020, 5021),
			stop:      []string{"sudo", "--login", "--user", "zuul", "podman", "stop", "buildset_registry_5020"},
		},
	}
}

// playBuildset runs a buildset registry in one of the ways.
func playBuildset(t *testing.T, bed *testbed.Bed, hosts *testbed.Hosts, way way) {
	t.Helper()
	variables := map[string]any{
		"zuul_registry_binary":        bed.Binary(),
		"buildset_registry_upstreams": "none",
	}
	maps.Copy(variables, way.variables)
	r := role{
		playbook: "playbooks/run-buildset-registry.yaml",
		build:    hosts.Build(t, testbed.Job{Variables: variables, IPv6: way.ipv6}),
		host:     way.host,
	}
	r.onlyCheck(t)
	first := r.build.PlayTwice(t, r.playbook, r.limit())

	registry := returnedBy(t, r.build)
	if want := way.address(); registry.Host != want || registry.PushHost != want {
		t.Errorf("the registry is %v, want it on %s", registry, want)
	}
	registry.isFor(t, registry.Host, "zuul-jobs.buildset-registry", "localhost", "127.0.0.1", "::1")
	registry.answers(t)
	if variables["buildset_registry_push_port"] != nil {
		registry.onlyReads(t)
	} else if registry.pull() != registry.push() {
		t.Errorf("the registry is %v", registry)
	}

	secrets := kept(t, r.host, registry.Password)
	untold(t, "the console", first.Console, secrets...)
	guarded(t, r.host, secrets...)

	r.host.Run(t, way.stop...)
	r.playAgain(t, secrets...)
	if now := returnedBy(t, r.build); now != registry {
		t.Errorf("the registry is %v now, and was %v", now, registry)
	}
	registry.answers(t)
}

func (w way) address() string {
	if w.ipv6 {
		return w.host.IPv6
	}
	return w.host.IPv4
}

// image is the name that the image of the server has by default.
const image = "quay.io/zuul-ci/zuul-registry:latest"

// inContainer are the variables of a registry in a container, beside others on
// the same host, with one port or two.
func inContainer(tool string, ports ...int) map[string]any {
	variables := map[string]any{
		"buildset_registry_runtime": "container",
		"container_command":         tool,
		"buildset_registry_root":    "/home/zuul/buildset_registry_in_" + tool,
		"buildset_registry_port":    ports[0],
	}
	if len(ports) > 1 {
		variables["buildset_registry_push_port"] = ports[1]
	}
	return variables
}

// kept are the password and the key of the tokens, as the role keeps them on a
// host for the registry with that password.
func kept(t *testing.T, host *testbed.Host, password string) []string {
	t.Helper()
	for _, file := range strings.Fields(host.Run(t, "sh", "-c", "ls /home/zuul/*/credentials.json")) {
		var kept struct{ Password, Secret string }
		if err := json.Unmarshal([]byte(host.Read(t, file)), &kept); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if kept.Password == password {
			return []string{kept.Password, kept.Secret}
		}
	}
	t.Fatalf("%s keeps no such password", host.Name)
	return nil
}
