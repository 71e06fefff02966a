package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// What the store has lost or cannot give is a fault of the registry. Called a
// miss, it would send clients to another registry, for another image of that
// name.
func TestFaultIsNoMiss(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	store := s.settings["STORAGE_ROOT"]
	tests := []struct {
		rule  string
		spoil func(repo *repository, image manifest) error
	}{
		{"a manifest's body is lost", func(_ *repository, image manifest) error {
			return os.Remove(filepath.Join(store, "_local", "blobs", image.digest, "data"))
		}},
		{"what a tag names is unreadable", func(repo *repository, _ manifest) error {
			record := filepath.Join(store, "_local", "repos", repo.name, "manifests", "latest")
			return os.WriteFile(record, []byte("nonsense"), 0o600)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			repo := newRepository(t, s)
			image := repo.image("image")
			repo.tag("latest", image)
			if err := tt.spoil(repo, image); err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				repo.request(method, "/manifests/latest").
					expect(http.StatusInternalServerError, http.StatusServiceUnavailable)
			}
			repo.tag("latest", repo.image("another image")) // which mends it
			repo.serves("latest", repo.image("another image"))
		})
	}
}

// While the store cannot be reached the server is there but not ready, and
// claims to miss nothing; when the store is back, so is the server.
func TestStoreIsOutOfReach(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	repo := newRepository(t, s)
	image := repo.image("image")
	repo.tag("latest", image)
	store, away := s.settings["STORAGE_ROOT"], s.settings["STORAGE_ROOT"]+"-away"
	if err := os.Rename(store, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, nil, 0o600); err != nil { // nothing can be below a file
		t.Fatal(err)
	}

	unavailable := []int{http.StatusInternalServerError, http.StatusServiceUnavailable}
	s.request(t, http.MethodGet, "/healthz").expect(http.StatusOK)
	s.request(t, http.MethodGet, "/readyz").expect(http.StatusServiceUnavailable)
	for _, path := range []string{
		"/manifests/latest", "/manifests/" + image.digest, "/blobs/" + repo.text("layer of image").digest,
		"/tags/list", "/referrers/" + image.digest,
	} {
		repo.get(path).expect(unavailable...)
	}
	repo.post("/blobs/uploads/").query("digest", image.digest).content(image.content).expect(unavailable...)
	repo.putManifest("latest", image).expect(unavailable...)

	if err := os.Remove(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, store); err != nil {
		t.Fatal(err)
	}
	s.request(t, http.MethodGet, "/readyz").expect(http.StatusOK)
	repo.serves("latest", image)
}
