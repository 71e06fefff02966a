package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// auths is a file with credentials of these names, for a user of each name.
func auths(t *testing.T, names ...string) *Credentials {
	t.Helper()
	var entries []string
	for _, name := range names {
		entries = append(entries, fmt.Sprintf(`%q: {"username": %q, "password": "secret"}`, name, name))
	}
	path := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(path, []byte(`{"auths": {`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCredentials(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The entry counts that is nearest to the repository.
func TestFindCredentials(t *testing.T) {
	for _, tt := range []struct {
		names            string
		host, repository string
		want             string
	}{
		{"quay.io quay.io/org quay.io/org/app", "quay.io", "org/app", "quay.io/org/app"},
		{"quay.io quay.io/org", "quay.io", "org/app", "quay.io/org"},
		{"quay.io quay.io/org", "quay.io", "other/app", "quay.io"},
		{"quay.io quay.io/org", "quay.io", "", "quay.io"},
		{"quay.io/org", "quay.io", "other/app", ""},
		{"quay.io/org", "quay.io", "organisation", ""},
		{"quay.io/org", "quay.io", "", ""},
		{"quay.io/org https://quay.io/v1/", "quay.io", "org/app", "quay.io/org"},
		{"https://quay.io/v1/", "quay.io", "org/app", "https://quay.io/v1/"},
		{"quay.io/v2/", "quay.io", "org/app", "quay.io/v2/"},
		{"quay.io", "quay.io:443", "org/app", ""},
		{"docker.io/org https://index.docker.io/v1/", "registry-1.docker.io", "org/app", "docker.io/org"},
		{"docker.io/org https://index.docker.io/v1/", "registry-1.docker.io", "library/app", "https://index.docker.io/v1/"},
		{"docker.io", "registry-1.docker.io", "library/app", "docker.io"},
		{"[::1]:5000", "[::1]:5000", "app", "[::1]:5000"},
	} {
		want := auth.EmptyCredential
		if tt.want != "" {
			want = auth.Credential{Username: tt.want, Password: "secret"}
		}
		if got, err := auths(t, strings.Fields(tt.names)...).Find(t.Context(), tt.host, tt.repository); got != want || err != nil {
			t.Errorf("of %s, %s/%s gets %v, %v; want %q", tt.names, tt.host, tt.repository, got, err, tt.want)
		}
	}
}
