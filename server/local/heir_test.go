package local_test

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"testing"
	"testing/synctest"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

const (
	dockerImage = oci.MediaTypeDockerManifest
	ociImage    = oci.MediaTypeImageManifest
	dockerList  = oci.MediaTypeDockerList
)

// heir is the registry that takes over a store of the original's.
type heir struct {
	*testing.T
	*local.Registry
	store storage.Driver
}

func inherit(t *testing.T, store storage.Driver) heir {
	return heir{t, local.New(store, local.Options{Older: namespace.Auto.Older}), store}
}

// again is the registry of another process.
func (h heir) again() heir { return inherit(h.T, h.store) }

func (h heir) name(asked string) oci.Name {
	h.Helper()
	name, err := namespace.Auto.Name(asked, "")
	if err != nil {
		h.Fatal(err)
	}
	return name
}

func (h heir) ref(text string) oci.Reference {
	h.Helper()
	ref, err := oci.ParseReference(text)
	if err != nil {
		h.Fatal(err)
	}
	return ref
}

// gives asserts that a reference is a manifest, for GET and HEAD.
func (h heir) gives(asked, ref, mediaType string, d oci.Digest) {
	h.Helper()
	h.givesTo(h.Context(), asked, ref, mediaType, d)
}

func (h heir) givesTo(ctx context.Context, asked, ref, mediaType string, d oci.Digest) {
	h.Helper()
	described, err := h.StatManifest(ctx, h.name(asked), h.ref(ref))
	if err != nil || described.Digest != d || described.MediaType != mediaType {
		h.Errorf("HEAD of %s of %s: %s %s, %v; want %s %s", ref, asked, described.MediaType, described.Digest, err, mediaType, d)
	}
	m, err := h.GetManifest(ctx, h.name(asked), h.ref(ref))
	if err != nil || m.Digest != d || m.MediaType != mediaType || oci.SHA256.Sum(m.Content) != d {
		h.Errorf("GET of %s of %s: %s %s, %v; want %s %s", ref, asked, m.MediaType, m.Digest, err, mediaType, d)
	}
	if err == nil && described.Size != int64(len(m.Content)) {
		h.Errorf("HEAD of %s of %s: %d bytes, want %d", ref, asked, described.Size, len(m.Content))
	}
}

// misses asserts that references name nothing.
func (h heir) misses(asked string, refs ...string) {
	h.Helper()
	for _, ref := range refs {
		if m, err := h.GetManifest(h.Context(), h.name(asked), h.ref(ref)); !errors.Is(err, oci.ManifestUnknown) {
			h.Errorf("GET of %s of %s: %s, %v; want MANIFEST_UNKNOWN", ref, asked, m.Digest, err)
		}
		if d, err := h.StatManifest(h.Context(), h.name(asked), h.ref(ref)); !errors.Is(err, oci.ManifestUnknown) {
			h.Errorf("HEAD of %s of %s: %s, %v; want MANIFEST_UNKNOWN", ref, asked, d.Digest, err)
		}
	}
}

func (h heir) delete(asked, ref string) {
	h.Helper()
	if err := h.DeleteManifest(h.Context(), h.name(asked), h.ref(ref)); err != nil {
		h.Errorf("DELETE of %s of %s: %v", ref, asked, err)
	}
}

func (h heir) push(asked, mediaType, content string, tags ...string) oci.Digest {
	h.Helper()
	m, err := oci.NewManifest(mediaType, []byte(content), oci.SHA256)
	if err != nil {
		h.Fatal(err)
	}
	var all []oci.Tag
	for _, t := range tags {
		all = append(all, h.ref(t).Tag)
	}
	if err := h.PutManifest(h.Context(), h.name(asked), m, all...); err != nil {
		h.Errorf("PUT of %s to %s: %v", m.Digest, asked, err)
	}
	return m.Digest
}

// tags are those of a repository, and nil where there is none.
func (h heir) tags(asked, after string) []string {
	h.Helper()
	var from oci.Tag
	if after != "" {
		from = h.ref(after).Tag
	}
	found := []string{}
	for tag, err := range h.Tags(h.Context(), h.name(asked), from) {
		if errors.Is(err, oci.NameUnknown) {
			return nil
		}
		if err != nil {
			h.Fatal(err)
		}
		found = append(found, tag.String())
	}
	return found
}

func (h heir) hasTags(asked, after string, want ...string) {
	h.Helper()
	if got := h.tags(asked, after); !slices.Equal(got, want) {
		h.Errorf("tags of %s after %q: %q, want %q", asked, after, got, want)
	}
}

func (h heir) catalog() (found []string) {
	h.Helper()
	for name, err := range h.Repositories(h.Context(), "") {
		if err != nil {
			h.Fatal(err)
		}
		found = append(found, name.String())
	}
	return found
}

// records are the references of a repository, as the store lists them.
func (h heir) records(repository string) (found []string) {
	h.Helper()
	for e, err := range h.store.List(h.Context(), path.Join("_local/repos", repository, "manifests"), "") {
		if err != nil {
			h.Fatal(err)
		}
		found = append(found, e.Name)
	}
	return found
}

// onAllDrivers runs a test over a new store of the original's on each.
func onAllDrivers(t *testing.T, test func(t *testing.T, o *original, h heir)) {
	for name, driver := range drivers {
		t.Run(name, func(t *testing.T) {
			store := driver(t)
			test(t, newOriginal(t, store), inherit(t, store))
		})
	}
}

// reads asserts that a blob can be read.
func (h heir) reads(content string) {
	h.Helper()
	blob, err := h.OpenBlob(h.Context(), h.name("org/app"), oci.SHA256.Sum([]byte(content)))
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = blob.Content.Close() }()
	if got, err := io.ReadAll(blob.Content); err != nil || string(got) != content {
		h.Errorf("the blob is %q, %v; want %q", got, err, content)
	}
}

// withTimes runs a test on a store of the original's, in a time of its own.
func withTimes(t *testing.T, test func(t *testing.T, o *original, h heir)) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		test(t, newOriginal(t, store), inherit(t, store))
	})
}
