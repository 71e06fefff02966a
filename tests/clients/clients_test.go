// Package clients proves the built registry with the tools that people use,
// over TLS that they verify: every tool goes through every scenario.
package clients

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m, testbed.Server, testbed.Certify, testbed.Hello, testbed.Debian)
}

// tools are all that there are. A further one is a row here and a file beside
// this, which makes it a client.
var tools = []struct {
	name  string
	needs []string
	start func(t *testing.T, bed *testbed.Bed) client // with an empty store, logged in nowhere
}{
	{"docker", testbed.DockerTools, startDocker},
	{"podman", []string{"podman", "runc"}, startPodman},
	{"buildah", []string{"buildah"}, startBuildah},
	{"skopeo", []string{"skopeo"}, startSkopeo},
	{"containerd", testbed.ContainerdTools, startContainerd},
}

// TestEveryTool has each tool go through the scenarios with a registry that
// is its own.
func TestEveryTool(t *testing.T) {
	bed := testbed.Open(t)
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			testbed.Need(t, tool.needs...)
			w := world{bed, bed.StartRegistry(t), tool.start(t, bed)}
			for _, scenario := range scenarios {
				t.Run(scenario.name, func(t *testing.T) { scenario.play(t, w) })
			}
		})
	}
}

// TestAcrossTools has each tool pull what each one pushed: an image is the
// same one to all of them, manifest included.
func TestAcrossTools(t *testing.T) {
	bed := testbed.Open(t)
	registry := bed.StartRegistry(t)
	image := bed.Scratch(t)
	clients := map[string]client{}
	for _, tool := range tools {
		testbed.Need(t, tool.needs...)
		clients[tool.name] = tool.start(t, bed)
	}
	for _, pusher := range tools {
		ref := registry.Host + "/zuul/across:" + pusher.name
		world{bed, registry, clients[pusher.name]}.publish(t, image, ref)
		for _, puller := range tools {
			t.Run(pusher.name+" to "+puller.name, func(t *testing.T) {
				world{bed, registry, clients[puller.name]}.receive(t, image, ref)
			})
		}
	}
}
