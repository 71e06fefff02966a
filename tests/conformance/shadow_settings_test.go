package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A setting that makes no sense ends the start, with a line that names it: else
// a typo would only show when an image is missed.
func TestShadowSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "nonsense")
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, value string }{
		{"NAMESPACING", "host"},
		{"UPSTREAMS", "docker.io"},
		{"UPSTREAMS", "docker.io="},
		{"UPSTREAMS", "=https://quay.io"},
		{"UPSTREAMS", "docker.io=quay.io"},
		{"UPSTREAMS", "docker.io=ftp://quay.io"},
		{"UPSTREAMS", "docker.io=https://"},
		{"UPSTREAMS", "docker.io=https://one.example,docker.io=https://two.example"},
		{"UPSTREAMS", "none,docker.io=https://registry-1.docker.io"},
		{"UPSTREAMS", "org=https://quay.io"},
		{"UPSTREAM_TAG_TTL", "-1s"},
		{"UPSTREAM_TAG_TTL", "soon"},
		{"UPSTREAM_TIMEOUT", "0"},
		{"UPSTREAM_TIMEOUT", "-1s"},
		{"UPSTREAM_AUTH_FILE", file + "-not"},
		{"UPSTREAM_AUTH_FILE", file},
		{"UPSTREAM_CA_FILE", file + "-not"},
		{"UPSTREAM_CA_FILE", file},
		{"PUSH_ADDRESS", "nowhere"},
	} {
		t.Run(tt.name+"="+filepath.Base(tt.value), func(t *testing.T) {
			t.Parallel()
			place, err := newInstallation(t.TempDir(), map[string]string{tt.name: tt.value})
			if err != nil {
				t.Fatal(err)
			}
			command, complaint := place.command(), new(bytes.Buffer)
			command.Stderr = complaint
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(startTime, func() { _ = command.Process.Kill() })
			defer late.Stop()
			if _ = command.Wait(); command.ProcessState.ExitCode() != 2 {
				t.Errorf("the server ended with %s, want exit code 2", command.ProcessState)
			}
			if !strings.Contains(complaint.String(), "ZUUL_REGISTRY_"+tt.name) {
				t.Errorf("the server does not say what is wrong with ZUUL_REGISTRY_%s: %s", tt.name, complaint)
			}
		})
	}
}
