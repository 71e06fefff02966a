package conformance

import (
	"net/http"
	"strings"
	"testing"
)

// What a manifest refers to must be there before it, so that whoever sees the
// manifest can pull the whole.
func TestManifestOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule string
		make func(r *repository) manifest
	}{
		{"an image without its config", func(r *repository) manifest {
			layer := r.text("layer")
			r.has(layer)
			return imageOf(r.text("not pushed"), layer).manifest()
		}},
		{"an image without a layer", func(r *repository) manifest {
			config, layer := r.text("config"), r.text("layer")
			r.has(config, layer)
			return imageOf(config, layer, r.text("not pushed")).manifest()
		}},
		{"a Docker image without a layer", func(r *repository) manifest {
			config := r.text("config")
			r.has(config)
			return dockerImageOf(config, r.text("not pushed")).manifest()
		}},
		{"an artifact without its content", func(r *repository) manifest {
			config := r.text("config")
			r.has(config)
			return artifactOf(sbom, config, r.text("not pushed")).manifest()
		}},
		{"an index without a child", func(r *repository) manifest {
			return indexOf(r.kept(r.image("one")), r.image("not pushed")).manifest()
		}},
		{"a Docker list without a child", func(r *repository) manifest {
			return dockerListOf(r.dockerImage("not pushed")).manifest()
		}},
		{"an index of an index that is not there", func(r *repository) manifest {
			return indexOf(indexOf(r.kept(r.image("one"))).manifest()).manifest()
		}},
		{"an image with a layer of the other algorithm", func(r *repository) manifest {
			config := r.text("config")
			r.has(config)
			return imageOf(config, r.text("not pushed").by512()).manifest()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			repo := newRepository(t, public)
			m := tt.make(repo)
			for _, reference := range []string{"latest", m.digest} {
				repo.putManifest(reference, m).
					refused("MANIFEST_BLOB_UNKNOWN", http.StatusBadRequest, http.StatusNotFound)
				repo.lacks(reference)
			}
		})
	}
}

// A manifest that cannot be read, or that means different things by its
// Content-Type and its body, is refused.
func TestManifestIsInvalid(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.imageDocument("image")
	index := indexOf(repo.kept(image.manifest()))
	untyped := func(d document) []byte { return d.without("mediaType").manifest().content }
	tests := []struct {
		rule, mediaType string
		body            []byte
	}{
		{"nothing", ociImage, nil},
		{"not JSON", ociImage, []byte("<html>a proxy's error page</html>")},
		{"cut JSON", ociImage, image.manifest().content[:100]},
		{"JSON and more", ociImage, append(image.manifest().content, '}')},
		{"a number", ociImage, []byte("42")},
		{"null", ociImage, []byte("null")},
		{"a list", ociImage, []byte("[]")},
		{"a config that is text", ociImage, image.with("config", "text").manifest().content},
		{"layers that are no list", ociImage, image.with("layers", "text").manifest().content},
		{"a digest that is none", ociImage, image.with("config", descriptor{Digest: "sha256:../../etc"}).manifest().content},
		{"an image as another type", dockerImage, image.manifest().content},
		{"an image as an index", ociIndex, image.manifest().content},
		{"an index as an image", ociImage, index.manifest().content},
		{"an index as an image, without its type", ociImage, untyped(index)},
		{"an image as an index, without its type", ociIndex, untyped(image)},
		{"an image as a Docker list, without its type", dockerList, untyped(image)},
		{"an image with an index's fields", ociImage, image.with("manifests", index["manifests"]).manifest().content},
		{"Docker's schema 1", dockerSchema1, []byte(`{"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": []}`)},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			here, m := repo.in(t), manifest{tt.mediaType, blobOf(tt.body)}
			for _, reference := range []string{"a-tag", m.digest} {
				here.putManifest(reference, m).refused("MANIFEST_INVALID|DIGEST_INVALID", http.StatusBadRequest)
			}
			here.lacks("a-tag")
		})
	}
}

// A manifest is stored under its own digest and no other.
func TestManifestWithWrongDigest(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image, other := repo.image("image"), repo.image("another image")
	wrong := []string{
		other.digest, other.by512().digest, // of other content
		"sha256:baddigeststring", "sha256:" + strings.Repeat("A", 64), "md5:d41d8cd98f00b204e9800998ecf8427e",
	}
	for _, digest := range wrong {
		t.Run(digest, func(t *testing.T) {
			here := repo.in(t)
			here.putManifest(digest, image).refused("DIGEST_INVALID", http.StatusBadRequest)
			here.putManifest(digest, image).query("tag", "a-tag").refused("DIGEST_INVALID", http.StatusBadRequest)
			here.get("/manifests/"+digest).expect(http.StatusNotFound, http.StatusBadRequest)
			here.lacks(image.digest)
			here.lacks("a-tag")
		})
	}
}

// A push that names a bad tag among good ones does nothing.
func TestManifestWithBadTag(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	for _, tag := range []string{"-bad", ".bad", "b/ad", "b:ad", strings.Repeat("t", 129)} {
		t.Run(tag, func(t *testing.T) {
			here := repo.in(t)
			here.putManifest(image.digest, image).query("tag", "good").query("tag", tag).
				refused("TAG_INVALID", http.StatusBadRequest)
			here.lacks("good")
			here.lacks(image.digest)
		})
	}
}

// There is a limit to the size of manifests, whether or not it is announced.
func TestManifestIsTooLarge(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	m := repo.imageOfSize(maxManifest + 1)
	for _, reference := range []string{"latest", m.digest} {
		repo.putManifest(reference, m).refused("SIZE_INVALID", http.StatusRequestEntityTooLarge)
		repo.putManifest(reference, m).stream(m.content).refused("SIZE_INVALID", http.StatusRequestEntityTooLarge)
		repo.lacks(reference)
	}
}
