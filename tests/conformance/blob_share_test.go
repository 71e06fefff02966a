package conformance

import (
	"net/http"
	"testing"
)

// A blob that another repository has need not be sent again.
func TestMount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		from func(source *repository) string
	}{
		{"from a repository", func(source *repository) string { return source.name }},
		{"from wherever it is", func(*repository) string { return "" }},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			source, repo := newRepository(t, public), newRepository(t, public)
			for _, b := range []blob{source.text("a text"), source.text("a text by sha512").by512()} {
				source.has(b)
				q := repo.post("/blobs/uploads/").query("mount", b.digest)
				if from := tt.from(source); from != "" {
					q.query("from", from)
				}
				a := q.expect(http.StatusCreated).has("Docker-Content-Digest", b.digest)
				public.request(t, http.MethodGet, a.location()).expect(http.StatusOK).holds(b.content)
				repo.servesBlob(b)
			}
		})
	}
}

// A client that mounts learns from the challenge that it needs to read where it
// takes from, too: else it gets a token with which it has to upload.
func TestMountIsChallenged(t *testing.T) {
	t.Parallel()
	source, repo := newRepository(t, public), newRepository(t, public)
	b := source.text("a text")
	source.has(b)
	a := repo.as(nobody).post("/blobs/uploads/").query("mount", b.digest).query("from", source.name).
		refused("UNAUTHORIZED", http.StatusUnauthorized)
	a.demands("repository:"+repo.name, "push").demands("repository:"+source.name, "pull")
}

// What cannot be mounted is uploaded: the answer is an upload.
func TestMountOfUnknown(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"", "conformance/not-there"} {
		repo := newRepository(t, public)
		b := repo.text("a text")
		q := repo.post("/blobs/uploads/").query("mount", b.digest)
		if from != "" {
			q.query("from", from)
		}
		u := repo.uploadAt(q.expect(http.StatusAccepted))
		repo.lacksBlob(b.digest)
		u.commit(b.digest).content(b.content).expect(http.StatusCreated)
		repo.servesBlob(b)
	}
}

// A blob that is deleted is gone, and can be pushed again.
func TestBlobIsDeleted(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	for _, b := range []blob{repo.text("a text"), repo.text("a text").by512()} {
		for range 2 {
			repo.has(b)
			repo.delete("/blobs/" + b.digest).expect(http.StatusAccepted)
			repo.lacksBlob(b.digest)
			repo.delete("/blobs/"+b.digest).refused("BLOB_UNKNOWN", http.StatusNotFound)
		}
	}
}

// A blob stays while a manifest needs it.
func TestBlobInUseIsNotDeleted(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	config, layer := repo.text("config of image"), repo.text("layer of image")
	repo.tag("latest", image)
	for _, b := range []blob{config, layer} {
		repo.delete("/blobs/"+b.digest).refused("UNSUPPORTED", http.StatusMethodNotAllowed)
		repo.servesBlob(b)
	}
	repo.delete("/manifests/" + image.digest).expect(http.StatusAccepted)
	for _, b := range []blob{config, layer} {
		repo.delete("/blobs/" + b.digest).expect(http.StatusAccepted)
		repo.lacksBlob(b.digest)
	}
}

// A manifest is not a blob to delete: its tags would point to nothing.
func TestManifestIsNotDeletedAsBlob(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.tag("latest", image)
	repo.delete("/blobs/"+image.digest).
		refused("UNSUPPORTED|BLOB_UNKNOWN", http.StatusMethodNotAllowed, http.StatusNotFound)
	repo.serves("latest", image)
	repo.serves(image.digest, image)
}
