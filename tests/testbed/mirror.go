package testbed

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mirror is what an administrator would write on a machine that asks the
// registry before those of the world. Docker can do so for docker.io only. The
// containers tools put the namespace into the path, containerd into a
// parameter.
var mirror = map[string]string{
	"/etc/docker/daemon.json": `{"registry-mirrors": ["https://` + trustedHost + `"]}
`,
	"/etc/containers/registries.conf.d/mirror.conf": mirrored("docker.io") + mirrored("quay.io"),
	HostsDir + "/docker.io/hosts.toml":              mirroredHost(hubName),
	HostsDir + "/quay.io/hosts.toml":                mirroredHost(quayName),
}

const trustedHost = trustedName + ":" + port

func mirrored(namespace string) string {
	return `[[registry]]
prefix = "` + namespace + `"
location = "` + namespace + `"
[[registry.mirror]]
location = "` + trustedHost + `/` + namespace + `"
`
}

func mirroredHost(name string) string {
	return `server = "https://` + name + `"
[host."https://` + trustedHost + `"]
capabilities = ["pull", "resolve"]
ca = "` + HostsDir + `/` + trustedHost + `/ca.crt"
`
}

// Mirror has the tools that are started from now on ask the registry under
// test first, until the test ends. It need not run yet.
func (b *Bed) Mirror(t *testing.T) {
	t.Helper()
	write(t, mirror)
	// BuildKit learns at its start for which hosts there may be certificates.
	if err := os.MkdirAll(filepath.Join("/etc/docker/certs.d", trustedHost), 0o755); err != nil {
		t.Fatal(err)
	}
}

// write writes files of the machine, which are gone after the test.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	for file, content := range files {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
		})
	}
}

// Status is the status with which the registry answers a request for the
// manifest of a public name with a tag.
func (r *Registry) Status(t *testing.T, ref string) int {
	t.Helper()
	repository, tag, _ := strings.Cut(ref, ":")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead,
		"https://"+r.Host+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
