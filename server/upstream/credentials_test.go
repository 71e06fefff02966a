package upstream

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Docker and Podman write Docker Hub's credentials under different names. Those of
// any other registry are under its own, and are for no other.
func TestKeysOfCredentials(t *testing.T) {
	for _, tt := range []struct {
		host, key string
		found     bool
	}{
		{"registry-1.docker.io", "https://index.docker.io/v1/", true},
		{"registry-1.docker.io", "docker.io", true},
		{"registry-1.docker.io", "registry-1.docker.io", true},
		{"registry-1.docker.io", "quay.io", false},
		{"quay.io", "quay.io", true},
		{"quay.io", "https://quay.io/v1/", true}, // as it once was written
		{"quay.io", "docker.io", false},
		{"mirror.example.org", "https://index.docker.io/v1/", false},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, fmt.Appendf(nil, `{"auths":{%q:{"auth":"bWU6c2VjcmV0"}}}`, tt.key), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenCredentials(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r := &Registry{address: registry.Reference{Registry: tt.host}}
		for host, found := range map[string]bool{tt.host: tt.found, "cdn.example.org": false} {
			want := auth.EmptyCredential
			if found {
				want = auth.Credential{Username: "me", Password: "secret"}
			}
			if got, err := r.credential(t.Context(), c.store(), host); got != want || err != nil {
				t.Errorf("%s of %s gives %s %v, %v", tt.key, tt.host, host, got, err)
			}
		}
	}
}
