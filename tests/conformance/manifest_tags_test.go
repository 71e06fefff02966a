package conformance

import (
	"net/http"
	"testing"
)

// A tag names one manifest: the last that was pushed, of whatever type. What
// it named before is there under its digest.
func TestTagMoves(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	first, second := repo.image("first"), repo.dockerImage("second")
	third := indexOf(repo.kept(first)).manifest()
	for _, m := range []manifest{first, second, third, second, first} {
		repo.tag("latest", m)
		repo.serves("latest", m)
		wantTags(t, repo.get("/tags/list"), []string{"latest"})
	}
	for _, m := range []manifest{first, second, third} {
		repo.serves(m.digest, m)
	}
}

// Who asks for a tag only if it has changed is told when it has.
func TestMovedTagIsNoticed(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	first, second := repo.image("first"), repo.image("second")
	repo.tag("latest", first)
	known := repo.get("/manifests/latest").expect(http.StatusOK).get("ETag")
	again := repo.get("/manifests/latest").header("If-None-Match", known).expect(http.StatusOK, http.StatusNotModified)
	if again.status == http.StatusOK {
		again.holds(first.content)
	}
	repo.tag("latest", second)
	repo.get("/manifests/latest").header("If-None-Match", known).expect(http.StatusOK).holds(second.content)
}

// The answer is what was pushed, whatever types the client says it can read: a
// registry that converted would answer something that nobody has tested.
func TestAcceptChangesNothing(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	byTag := map[string]manifest{
		"oci": repo.image("image"), "docker": repo.dockerImage("docker image"),
		"index": indexOf(repo.kept(repo.image("child"))).manifest(),
		"list":  dockerListOf(repo.kept(repo.dockerImage("docker child"))).manifest(),
	}
	for tag, m := range byTag {
		repo.tag(tag, m)
		for _, accept := range [][]string{
			nil,
			{"*/*"},
			{ociImage},
			{dockerImage},
			{ociIndex, dockerList},
			{"text/html"},
			{"nonsense"},
			{ociImage + ", " + dockerImage + ";q=0.5, */*;q=0.1"},
		} {
			for _, reference := range []string{tag, m.digest} {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					repo.request(method, "/manifests/"+reference).header("Accept", accept...).expect(http.StatusOK).
						has("Content-Type", m.mediaType).has("Docker-Content-Digest", m.digest)
				}
			}
		}
	}
}

// A deleted tag is gone; its manifest stays, and so do other tags.
func TestTagIsDeleted(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.tag("one", image)
	repo.tag("two", image)
	repo.delete("/manifests/one").expect(http.StatusAccepted)
	repo.lacks("one")
	repo.serves("two", image)
	repo.serves(image.digest, image)
	wantTags(t, repo.get("/tags/list"), []string{"two"})
	repo.delete("/manifests/one").refused("MANIFEST_UNKNOWN", http.StatusNotFound)

	repo.delete("/manifests/two").expect(http.StatusAccepted)
	repo.serves(image.digest, image)
	wantTags(t, repo.get("/tags/list"), []string{})

	repo.tag("one", image)
	repo.serves("one", image)
}

// A deleted manifest takes its tags along, and no others.
func TestManifestIsDeleted(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image, other := repo.image("image"), repo.image("another image")
	repo.tag("one", image)
	repo.tag("two", image)
	repo.tag("three", other)
	repo.tag("moved", image)
	repo.tag("moved", other)
	repo.delete("/manifests/" + image.digest).expect(http.StatusAccepted)
	for _, reference := range []string{"one", "two", image.digest} {
		repo.lacks(reference)
	}
	repo.serves("three", other)
	repo.serves("moved", other)
	wantTags(t, repo.get("/tags/list"), []string{"moved", "three"})
	repo.delete("/manifests/"+image.digest).refused("MANIFEST_UNKNOWN", http.StatusNotFound)

	repo.tag("one", image)
	repo.serves("one", image)
}

// A manifest that was pushed by its sha512 digest is deleted by that.
func TestManifestIsDeletedBySha512(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image").by512()
	repo.putManifest(image.digest, image).query("tag", "latest").expect(http.StatusCreated)
	repo.delete("/manifests/" + image.digest).expect(http.StatusAccepted)
	repo.lacks(image.digest)
	repo.lacks("latest")
}

// Deleting needs a repository that is there.
func TestDeleteOfUnknown(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	digest := repo.text("what is not there").digest
	repo.delete("/manifests/latest").refused("MANIFEST_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
	repo.delete("/manifests/"+digest).refused("MANIFEST_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
	repo.delete("/blobs/"+digest).refused("BLOB_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
}
