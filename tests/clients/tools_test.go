package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// tool is a column of the table in the README.
type tool struct {
	name  string
	start func(t *testing.T, p *place) client // with an empty store, logged in nowhere
}

// tools are all that there are. A further one is a row here and a file beside
// this, which makes it a client.
var tools = []tool{
	{"docker", startDocker},
	{"moby", startMoby},
	{"docker build, legacy", startDockerBuild("0")},
	{"docker build, BuildKit", startDockerBuild("1")},
	{"podman", startPodman},
	{"buildah", startBuildah},
	{"skopeo", startSkopeo},
	{"ctr", startContainerd},
	{"ctr 2", startContainerd2},
	{"buildctl", startBuildKit},
	{"crane", startCrane},
	{"regctl", startRegctl},
	{"oras-go", startArtifact},
}

// programs are those that Debian does not have, or not as new.
var programs = []testbed.Tool{
	testbed.Crane,
	testbed.Regctl,
	{Module: "github.com/moby/moby/v2", Version: "v2.0.0-beta.24", Package: "cmd/dockerd"},
	{Module: "github.com/containerd/containerd/v2", Version: "v2.4.2", Package: "cmd/containerd"},
	{Module: "github.com/containerd/containerd/v2", Version: "v2.4.2", Package: "cmd/containerd-shim-runc-v2"},
	{Module: "github.com/containerd/containerd/v2", Version: "v2.4.2", Package: "cmd/ctr"},
	{Module: "github.com/moby/buildkit", Version: "v0.31.0", Package: "cmd/buildkitd"},
	{Module: "github.com/moby/buildkit", Version: "v0.31.0", Package: "cmd/buildctl"},
}

// withPrograms is the first of the programs, as a command that finds the others.
func withPrograms(t *testing.T, p *place, names ...string) []string {
	t.Helper()
	var paths []string
	for _, name := range names {
		paths = append(paths, p.bed.Tool(t, name))
	}
	return []string{"env", "PATH=" + filepath.Dir(paths[0]) + ":/usr/sbin:/usr/bin:/sbin:/bin", paths[0]}
}

// programVersion is the version of one of the programs, which it may not know
// itself.
func programVersion(name string) string {
	for _, program := range programs {
		if filepath.Base(program.Package) == name {
			return strings.TrimPrefix(program.Version, "v")
		}
	}
	return ""
}
