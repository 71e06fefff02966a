package conformance

import (
	"net/http"
	"os"
	"testing"
)

// What was not pushed is the upstream's, and what was is not: also where the
// upstream's was served before.
func TestShadowIsLocalFirst(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	original := up.tagged("org/app", "1.0")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	reader, writer := mirror.reader(t, "org/app"), mirror.repository(t, "org/app")
	reader.servesAll("1.0", original)

	pushed := writer.pushes("1.0")
	up.forget()
	reader.serves("1.0", pushed)
	reader.serves(pushed.digest, pushed)
	reader.servesBlob(writer.text("layer of pushed as 1.0"))
	reader.get("/manifests/1.0").expect(http.StatusOK).lacks("Warning")
	up.wasLeftAlone(t)
	reader.serves(original.digest, original.manifest) // which hides nothing

	up.tag("org/app", "1.0", up.image("org/app", "newer").manifest)
	up.tag("org/app", "1.0", pushed) // even the same
	up.tag("org/app", "1.0", up.image("org/app", "newest").manifest)
	reader.serves("1.0", pushed)
	up.fails(answers(http.StatusInternalServerError))
	reader.serves("1.0", pushed)
	up.down()
	reader.serves("1.0", pushed)
	reader.get("/manifests/1.0").expect(http.StatusOK).lacks("Warning")
}

// One tag that was pushed shadows no other.
func TestShadowIsByTag(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	one, two := up.tagged("org/app", "1.0"), up.tagged("org/app", "2.0")
	mirror := shadow(t, up)
	pushed := mirror.repository(t, "org/app").pushes("1.0")
	reader := mirror.reader(t, "org/app")
	reader.serves("1.0", pushed)
	reader.servesAll("2.0", two)
	reader.serves(one.digest, one.manifest)
	reader.lacks("3.0")
	mirror.reader(t, "org/other").lacks("1.0")
}

// When the local image is deleted, the upstream's shows again: by the tag alone,
// or with the digest.
func TestShadowEnds(t *testing.T) {
	t.Parallel()
	for _, known := range []string{"was seen before", "was never seen"} {
		t.Run("the upstream's "+known, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			original := up.tagged("org/app", "latest")
			mirror := shadow(t, up)
			reader, writer := mirror.reader(t, "org/app"), mirror.repository(t, "org/app")
			if known == "was seen before" {
				reader.servesAll("latest", original)
			}
			for range 2 {
				pushed := writer.pushes("latest")
				reader.serves("latest", pushed)
				writer.delete("/manifests/latest").expect(http.StatusAccepted)
				reader.serves("latest", original.manifest)
				reader.serves(pushed.digest, pushed)

				writer.tag("latest", pushed)
				reader.serves("latest", pushed)
				writer.delete("/manifests/" + pushed.digest).expect(http.StatusAccepted)
				reader.servesAll("latest", original)
				reader.lacks(pushed.digest)
			}
		})
	}
}

// An upstream image that is pushed is a local one from then on.
func TestShadowOfTheSame(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	original := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	reader, writer := mirror.reader(t, "org/app"), mirror.repository(t, "org/app")
	reader.servesAll("latest", original)
	writer.delivers("latest", original.manifest, original.config, original.layer)
	up.tag("org/app", "latest", up.image("org/app", "newer").manifest)
	up.forget()
	reader.servesAll("latest", original)
	up.wasLeftAlone(t)
}

// A fault of the store is the registry's, and no reason to serve another image.
func TestShadowFaultIsNoMiss(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	store := mirror.settings["STORAGE_ROOT"]
	tests := []struct {
		rule  string
		spoil func(image manifest) error
		path  func(image manifest) string
	}{
		{"a manifest's body is lost", func(image manifest) error {
			return os.Remove(store + "/_local/blobs/" + image.digest + "/data")
		}, func(manifest) string { return "/manifests/latest" }},
		{"what a tag names is unreadable", func(manifest) error {
			return os.WriteFile(mirror.record("_local", "org/app", "latest"), []byte("nonsense"), 0o600)
		}, func(manifest) string { return "/manifests/latest" }},
		{"what a digest names is unreadable", func(image manifest) error {
			return os.WriteFile(mirror.record("_local", "org/app", image.digest), []byte("nonsense"), 0o600)
		}, func(image manifest) string { return "/manifests/" + image.digest }},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			up.tagged("org/app", "latest")
			image := mirror.repository(t, "org/app").pushes("latest")
			up.keep("org/app", image) // as good as the lost one
			up.forget()
			if err := tt.spoil(image); err != nil {
				t.Fatal(err)
			}
			reader := mirror.reader(t, "org/app")
			reader.get(tt.path(image)).expect(http.StatusInternalServerError, http.StatusServiceUnavailable)
			reader.head(tt.path(image)).expect(http.StatusInternalServerError, http.StatusServiceUnavailable)
			up.wasLeftAlone(t)
		})
	}
}

// Nor is a store that is gone: nothing can be known to be missing in it.
func TestShadowStoreIsOutOfReach(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up)
	reader := mirror.reader(t, "org/app")
	reader.servesAll("latest", image)
	store, away := mirror.settings["STORAGE_ROOT"], mirror.settings["STORAGE_ROOT"]+"-away"
	if err := os.Rename(store, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store, nil, 0o600); err != nil { // nothing can be below a file
		t.Fatal(err)
	}
	up.forget()
	for _, path := range []string{
		"/manifests/latest", "/manifests/" + image.digest, "/manifests/unseen", "/blobs/" + image.layer.digest, "/tags/list", "/referrers/" + image.digest,
	} {
		reader.get(path).expect(http.StatusInternalServerError, http.StatusServiceUnavailable)
	}
	up.wasLeftAlone(t)
	if err := os.Remove(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, store); err != nil {
		t.Fatal(err)
	}
	reader.servesAll("latest", image)
}
