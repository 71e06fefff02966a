package clients

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// tool is a column of the table in the README.
type tool struct {
	name  string
	start func(t *testing.T, w *world) client // with an empty store, logged in nowhere
}

// tools are all that there are. A further one is a row here and a file beside
// this, which makes it a client.
var tools = []tool{
	{"docker", startDocker},
	{"docker build, legacy", startDockerBuild("0")},
	{"docker build, BuildKit", startDockerBuild("1")},
	{"podman", startPodman},
	{"buildah", startBuildah},
	{"skopeo", startSkopeo},
	{"ctr", startContainerd},
	{"buildctl", startBuildKit},
	{"crane", startCrane},
	{"regctl", startRegctl},
	{"oras-go", startArtifact},
}

// programs are those that Debian does not have.
var programs = []testbed.Tool{
	{Module: "github.com/google/go-containerregistry", Version: "v0.22.1", Package: "cmd/crane"},
	{Module: "github.com/regclient/regclient", Version: "v0.11.7", Package: "cmd/regctl"},
	{Module: "github.com/moby/buildkit", Version: "v0.31.0", Package: "cmd/buildkitd"},
	{Module: "github.com/moby/buildkit", Version: "v0.31.0", Package: "cmd/buildctl"},
}
