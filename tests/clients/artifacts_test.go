package clients

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// artifactsAndReferrers attaches two artifacts to an image, and finds both, and
// what is in them.
func artifactsAndReferrers(t *testing.T, w *world) {
	image, ref := w.bed.From(t, "a subject"), w.registry.Host+"/zuul/subject:latest"
	w.publish(t, image, ref)
	tool := w.client.(attacher)
	types := []string{"application/vnd.test.sbom", "application/vnd.test.signature"}
	for _, artifactType := range types {
		w.give(t, func() error { return tool.attach(t.Context(), ref, artifactType, "This is "+artifactType) })
	}
	said := the(tool.referrers(t.Context(), ref))(t)
	for _, artifactType := range types {
		if !strings.Contains(said, artifactType) {
			t.Errorf("the tool finds no %s:\n%s", artifactType, said)
		}
	}
	if got := w.attached(t, "zuul/subject", w.registry.Digest(t, ref)); !slices.Equal(got, types) {
		t.Errorf("the registry has the artifacts %v, want %v", got, types)
	}
	w.receive(t, image, ref)
}

// attached are the types of the artifacts that refer to an image, which each
// hold what they say.
func (w *world) attached(t *testing.T, repository, digest string) (types []string) {
	t.Helper()
	get := func(path string, into any) []byte {
		t.Helper()
		answer, content := w.registry.Get(t, repository+path)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, answer.Status)
		}
		if into != nil {
			must(t, json.Unmarshal(content, into))
		}
		return content
	}
	var referrers struct {
		Manifests []struct{ ArtifactType, Digest string }
	}
	get("/referrers/"+digest, &referrers)
	for _, referrer := range referrers.Manifests {
		var manifest imageManifest
		get("/manifests/"+referrer.Digest, &manifest)
		if len(manifest.Layers) != 1 {
			t.Fatalf("the artifact has %d files, want one", len(manifest.Layers))
		}
		content := get("/blobs/"+manifest.Layers[0].Digest, nil)
		if want := "This is " + referrer.ArtifactType; string(content) != want {
			t.Errorf("the artifact holds %q, want %q", content, want)
		}
		types = append(types, referrer.ArtifactType)
	}
	slices.Sort(types)
	return types
}
