package testbed

import (
	"os"
	"path/filepath"
	"testing"
)

const registryPort = "9000"

// RegistryHost is how the tools name the registry under test.
const RegistryHost = registryName + ":" + registryPort

// containers is what an administrator would write for the containers tools on
// a machine without systemd and without every capability. A registry that is
// not named in full is none.
var containers = map[string]string{
	"containers.conf": `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`,
	"policy.json": `{"default": [{"type": "insecureAcceptAnything"}]}
`,
	"registries.conf": `unqualified-search-registries = []
` + mirrored("docker.io") + mirrored("quay.io"),
}

// mirrored has the containers tools ask the registry first: the namespace goes
// into the path.
func mirrored(namespace string) string {
	return `[[registry]]
prefix = "` + namespace + `"
location = "` + namespace + `"
[[registry.mirror]]
location = "` + RegistryHost + `/` + namespace + `"
`
}

// HostsDir says how containerd's clients reach each registry, and whom they
// trust there. They are to be told of it.
const HostsDir = "/etc/containerd/certs.d"

// mirroredHost has containerd ask the registry first, and so does Docker since
// version 29: the namespace is a parameter.
func mirroredHost(name string) string {
	return `server = "https://` + name + `"
[host."https://` + RegistryHost + `"]
capabilities = ["pull", "resolve"]
ca = "` + TrustedDir + `/ca.crt"
`
}

// BuildKitConfig is the file with which BuildKit's daemon asks the registry
// first: the namespace is a parameter, and may be in the path as well.
const BuildKitConfig = "/etc/buildkit/buildkitd.toml"

const mirroredBuild = `[registry."docker.io"]
  mirrors = ["` + RegistryHost + `"]
[registry."quay.io"]
  mirrors = ["` + RegistryHost + `/quay.io"]
[registry."` + RegistryHost + `"]
  ca = ["` + TrustedDir + `/ca.crt"]
`

// TrustedDir holds the certificate of the registry for tools that have no
// place for it, but for those that the whole machine trusts.
const TrustedDir = "/etc/trusted"

// configuration are the files of the tools on a site's hosts, below /etc.
// Docker before version 29 can ask mirrors for docker.io only.
func configuration() map[string]string {
	files := map[string]string{
		"docker/daemon.json": `{"registry-mirrors": ["https://` + RegistryHost + `"]}` + "\n",
		// containerd without its part for Kubernetes.
		"containerd/config.toml":  "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
		"buildkit/buildkitd.toml": mirroredBuild,
	}
	for namespace, name := range map[string]string{"docker.io": hubName, "quay.io": quayName} {
		files["containerd/certs.d/"+namespace+"/hosts.toml"] = mirroredHost(name)
		files["docker/certs.d/"+namespace+"/hosts.toml"] = mirroredHost(name)
	}
	for name, content := range containers {
		files["containers/"+name] = content
	}
	return files
}

// trusting are the folders below /etc where the tools look for the certificate
// of the registry.
var trusting = []string{
	"docker/certs.d/" + RegistryHost,
	"containers/certs.d/" + RegistryHost,
	"containerd/certs.d/" + RegistryHost,
	"trusted",
}

// configure writes the configuration for the hosts of a site. The registry need
// not run yet, but Docker's BuildKit learns at its start for which hosts there
// may be certificates.
func (s *Site) configure(t *testing.T) {
	t.Helper()
	s.etc = s.bed.Folder(t, "etc")
	for _, dir := range trusting {
		if err := os.MkdirAll(filepath.Join(s.etc, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range configuration() {
		file := filepath.Join(s.etc, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// trust has the tools on the site's hosts trust a certificate for the registry,
// and for no other host.
func (s *Site) trust(t *testing.T, pem []byte) {
	t.Helper()
	for _, dir := range trusting {
		if err := os.WriteFile(filepath.Join(s.etc, dir, "ca.crt"), pem, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Workshop is a host with the container tools, which ask the registry as a
// mirror, and verify it. Images and the programs that were built are at the same
// paths as here, and so is an empty folder to work in.
type Workshop struct {
	*Host
	Folder string
}

// StartWorkshop starts one. The command, a tool's daemon or nothing, runs while
// the host does.
func (s *Site) StartWorkshop(t *testing.T, name string, command ...string) Workshop {
	t.Helper()
	if len(command) == 0 {
		command = []string{"sleep", "infinity"}
	}
	folder := s.bed.store(t, name)
	binds := []string{
		folder + ":" + folder,
		s.bed.path(imagesDir) + ":" + s.bed.path(imagesDir) + ":ro",
		s.bed.path(programsDir) + ":" + s.bed.path(programsDir) + ":ro",
		s.bed.path(upstreamCertificate) + ":/etc/ssl/certs/" + upstreamCertificate + ":ro",
	}
	for _, dir := range []string{"docker", "containers", "containerd", "buildkit", "trusted"} {
		binds = append(binds, filepath.Join(s.etc, dir)+":/etc/"+dir)
	}
	// The folder's name is a name for the host that no other one has.
	return Workshop{s.startHost(t, hostOptions{name: filepath.Base(folder), binds: binds, command: command}), folder}
}
