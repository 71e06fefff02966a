package clients

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func pushAndPullBack(t *testing.T, w *world) { w.roundTrip(t, w.bed.Scratch(t)) }

func sixtyLayers(t *testing.T, w *world) { w.roundTrip(t, w.bed.Layered(t, 60, 1<<10)) }

func aLargeLayer(t *testing.T, w *world) { w.roundTrip(t, w.bed.Layered(t, 1, 1<<30)) }

// roundTrip pushes an image, and pulls it back.
func (w *world) roundTrip(t *testing.T, image testbed.Image) {
	t.Helper()
	ref := w.registry.Host + "/zuul/" + image.Name + ":latest"
	w.publish(t, image, ref)
	w.receive(t, image, ref)
}

// zstdLayers are pushed as they are, or made by the tool.
func zstdLayers(t *testing.T, w *world) {
	// Of a layer that the registry does not have: Podman would take it as it is.
	image, ref := w.bed.Apart(t, "zstd"), w.registry.Host+"/zuul/zstd:latest"
	w.receive(t, w.publishAs(t, image, ref, testbed.Format{Zstd: true}), ref)
}

// publishAs pushes an image in a format as the writer, and forgets it. The
// registry must have it in that format. It returns the image as it is now: a
// tool that converts it may give it another config.
func (w *world) publishAs(t *testing.T, image testbed.Image, ref string, format testbed.Format) testbed.Image {
	t.Helper()
	store := w.client.(store)
	layout, err := w.bed.Layout(image, format)
	must(t, err)
	carrier, carries := w.client.(carrier)
	if carries {
		must(t, carrier.carry(t.Context(), layout, ref))
		w.give(t, func() error { return store.push(t.Context(), ref) })
	} else {
		must(t, store.load(t.Context(), image, ref))
		w.give(t, func() error { return w.client.(converter).pushAs(t.Context(), ref, format) })
	}
	must(t, store.remove(t.Context(), ref))

	manifest := w.manifest(t, ref)
	if manifest.MediaType != layout.MediaType {
		t.Errorf("%s has the media type %q, want %q", ref, manifest.MediaType, layout.MediaType)
	}
	if got := w.registry.Digest(t, ref); carries && got != layout.Digest {
		t.Errorf("the registry has %s, want %s as it was", got, layout.Digest)
	}
	for _, layer := range manifest.Layers {
		packing := "gzip"
		if format.Zstd {
			packing = "zstd"
		}
		if !strings.HasSuffix(layer.MediaType, packing) {
			t.Errorf("%s has a layer of %s, want %s", ref, layer.MediaType, packing)
		}
	}
	if !carries {
		image.ID = manifest.Config.Digest
	}
	return image
}

// manifest is what the registry serves for a reference, of the media type that
// it serves it as.
func (w *world) manifest(t *testing.T, ref string) (manifest imageManifest) {
	t.Helper()
	content, mediaType := w.registry.Manifest(t, strings.TrimPrefix(ref, w.registry.Host+"/"))
	must(t, json.Unmarshal(content, &manifest))
	if manifest.MediaType != "" && manifest.MediaType != mediaType {
		t.Errorf("%s is %s, and is served as %s", ref, manifest.MediaType, mediaType)
	}
	manifest.MediaType = mediaType
	return manifest
}

// aListOfPlatforms is pushed as it is, or made by the tool of images that it has
// pushed. All that belongs to it is in the registry, also what is not for this
// machine, and what is comes back.
func aListOfPlatforms(t *testing.T, w *world) {
	images := w.bed.Platforms(t, "a list")
	ref := w.registry.Host + "/zuul/platforms:latest"
	if carrier, ok := w.client.(carrier); ok {
		layout, err := w.bed.List(testbed.Format{}, images...)
		must(t, err)
		must(t, carrier.carry(t.Context(), layout, ref))
		store := w.client.(store)
		w.give(t, func() error { return store.push(t.Context(), ref) })
		must(t, store.remove(t.Context(), ref))
		if got := w.registry.Digest(t, ref); got != layout.Digest {
			t.Errorf("the registry has the list %s, want %s", got, layout.Digest)
		}
	} else {
		w.pushList(t, ref, images)
	}
	list := w.manifest(t, ref)
	if len(list.Manifests) != len(images) {
		t.Errorf("the list has %d images, want %d: %v", len(list.Manifests), len(images), list)
	}
	ids := map[string]bool{}
	for _, child := range list.Manifests {
		ids[w.whole(t, "zuul/platforms", child.Digest)] = true
	}
	for _, image := range images {
		if !ids[image.ID] {
			t.Errorf("the list has no %s, but %v", image.ID, ids)
		}
	}
	if _, ok := w.client.(carrier); ok {
		w.receive(t, images[0], ref)
	} else {
		w.obtain(t, images[0], ref)
	}
}

func (w *world) pushList(t *testing.T, ref string, images []testbed.Image) {
	t.Helper()
	store := w.client.(store)
	var refs []string
	for _, image := range images {
		single := strings.Replace(ref, ":latest", ":"+image.Name, 1)
		w.publish(t, image, single)
		refs = append(refs, single)
	}
	w.give(t, func() error { return w.client.(lister).pushList(t.Context(), ref, refs...) })
	if _, err := store.id(t.Context(), ref); err == nil {
		t.Errorf("%s is left in the store", ref)
	}
}

// whole finds the manifest of an image in the registry, and all its blobs. It
// returns the digest of the config.
func (w *world) whole(t *testing.T, repository, digest string) string {
	t.Helper()
	answer, content := w.registry.Get(t, repository+"/manifests/"+digest)
	var manifest imageManifest
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", digest, answer.Status)
	}
	must(t, json.Unmarshal(content, &manifest))
	for _, blob := range slices.Concat(manifest.Layers, []descriptor{manifest.Config}) {
		answer, content := w.registry.Get(t, repository+"/blobs/"+blob.Digest)
		if got := testbed.Digest(content); answer.StatusCode != http.StatusOK || got != blob.Digest {
			t.Errorf("%s: %s, with the digest %s", blob.Digest, answer.Status, got)
		}
	}
	return manifest.Config.Digest
}

// anotherMediaType replaces a tag by the same image in the other format, and
// back.
func anotherMediaType(t *testing.T, w *world) {
	image, ref := w.bed.From(t, "two formats"), w.registry.Host+"/zuul/formats:latest"
	for _, format := range []testbed.Format{{Docker: true}, {}, {Docker: true}} {
		w.receive(t, w.publishAs(t, image, ref, format), ref)
	}
}

// aSignature is an image by the tag that signatures have where registries know
// no referrers: made of the digest of what is signed.
func aSignature(t *testing.T, w *world) {
	signed, ref := w.bed.Scratch(t), w.registry.Host+"/zuul/signed:latest"
	w.publish(t, signed, ref)
	signature := w.bed.From(t, "a signature")
	tag := strings.Replace(w.registry.Digest(t, ref), ":", "-", 1) + ".sig"
	w.publish(t, signature, w.registry.Host+"/zuul/signed:"+tag)
	w.receive(t, signature, w.registry.Host+"/zuul/signed:"+tag)
	w.receive(t, signed, ref)
}
