package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// A store that Python zuul-registry wrote is served as it stands: a name means in auto
// what the client that pushed meant, and in the other modes the path that it used.
func TestAnOldStore(t *testing.T) {
	for mode, want := range map[string]int{"auto": http.StatusOK, "none": http.StatusNotFound} {
		dir := t.TempDir()
		manifest := `{"schemaVersion": 2, "mediaType": "` + oci.MediaTypeDockerManifest + `"}`
		d := oci.SHA256.Sum([]byte(manifest)).String()
		for name, content := range map[string]string{
			"blobs/" + d + "/data":                  manifest,
			"repos/docker.io/org/app/manifests/1.0": `{"` + oci.MediaTypeDockerManifest + `": "` + d + `"}`,
		} {
			path := filepath.Join(dir, "storage/_local", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := serve(t, house(dir, "ZUUL_REGISTRY_TLS=off", "ZUUL_REGISTRY_NAMESPACING="+mode))
		for _, ref := range []string{"1.0", d} {
			answer, err := r.client.Get(r.url + "/v2/org/app/manifests/" + ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != want || want == http.StatusOK && string(got) != manifest {
				t.Errorf("%s: %s is %s %s, %v; want %d", mode, ref, answer.Status, got, err, want)
			}
		}
		r.stop()
		<-r.code
	}
}
