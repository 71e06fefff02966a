package registrytest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

func putAndGetManifest(_ *testing.T, r registry) {
	name := r.name("org/app")
	r.misses(name, byTag("latest"))
	m := r.image(name, "an image")
	r.misses(name, byDigest(m.Digest))
	r.put(name, m, "latest", "1.0")
	for _, ref := range []oci.Reference{byTag("latest"), byTag("1.0"), byDigest(m.Digest)} {
		r.gives(name, ref, m)
	}
	r.misses(r.name("org/other"), byDigest(m.Digest))

	long := must(oci.NewManifest(m.MediaType, append(slices.Clone(m.Content), '\n', ' '), oci.SHA512))(r.T)
	r.put(name, long)
	r.gives(name, byDigest(long.Digest), long)
}

func incompleteManifest(_ *testing.T, r registry) {
	name := r.name("org/app")
	missing, config := oci.SHA256.Sum([]byte("missing")), r.push(name, "config")
	for what, m := range map[string]oci.Manifest{
		"config": r.manifest(oci.MediaTypeImageManifest, object{"config": descriptor("x", missing)}),
		"layer": r.manifest(oci.MediaTypeDockerManifest, object{"config": descriptor("x", config),
			"layers": []object{descriptor("x", missing)}}),
		"child":                    r.manifest(oci.MediaTypeImageIndex, object{"manifests": []object{descriptor("x", missing)}}),
		"blob of an unknown type":  r.manifest("application/x", object{"blobs": []object{descriptor("x", missing)}}),
		"child that is but a blob": r.manifest(oci.MediaTypeDockerList, object{"manifests": []object{descriptor("x", config)}}),
	} {
		r.is(r.PutManifest(r.ctx, name, m, tag("latest")), oci.ManifestBlobUnknown, "PutManifest without its "+what)
		r.misses(name, byTag("latest"))
		r.misses(name, byDigest(m.Digest))
	}
	complete := r.manifest(oci.MediaTypeImageManifest, object{
		"config":  descriptor("x", config),
		"layers":  []object{descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", missing)},
		"subject": descriptor(oci.MediaTypeImageManifest, missing),
	})
	r.put(name, complete, "latest")
	r.gives(name, byTag("latest"), complete)
}

func nestedIndex(_ *testing.T, r registry) {
	name := r.name("org/app")
	amd64, arm64 := r.put(name, r.image(name, "amd64")), r.put(name, r.image(name, "arm64"))
	inner := r.put(name, r.manifest(oci.MediaTypeDockerList, object{"manifests": []object{descriptor("x", amd64.Digest)}}))
	outer := r.put(name, r.manifest(oci.MediaTypeImageIndex, object{
		"manifests": []object{descriptor("x", inner.Digest), descriptor("x", arm64.Digest)}}), "latest")
	r.gives(name, byTag("latest"), outer)
	r.gives(name, byDigest(inner.Digest), inner)
	r.gives(name, byDigest(amd64.Digest), amd64)
}

func moveTag(_ *testing.T, r registry) {
	name := r.name("org/app")
	first := r.put(name, r.image(name, "first"), "latest")
	second := r.put(name, r.manifest(oci.MediaTypeImageIndex, object{"manifests": []object{descriptor("x", first.Digest)}}), "latest")
	r.gives(name, byTag("latest"), second)
	r.gives(name, byDigest(first.Digest), first)
	r.put(name, first, "latest")
	r.gives(name, byTag("latest"), first)
}

func deleteTag(_ *testing.T, r registry) {
	name := r.name("org/app")
	r.is(r.DeleteManifest(r.ctx, name, byTag("1.0")), oci.ManifestUnknown, "DeleteManifest")
	m := r.put(name, r.image(name, "an image"), "1.0", "latest")
	r.ok(r.DeleteManifest(r.ctx, name, byTag("1.0")), "DeleteManifest")
	r.misses(name, byTag("1.0"))
	r.gives(name, byTag("latest"), m)
	r.gives(name, byDigest(m.Digest), m)
}

func deleteDigest(_ *testing.T, r registry) {
	name, other := r.name("org/app"), r.name("org/other")
	m, kept := r.image(name, "an image"), r.put(name, r.image(name, "kept"), "kept")
	r.is(r.DeleteManifest(r.ctx, name, byDigest(m.Digest)), oci.ManifestUnknown, "DeleteManifest")
	r.put(name, m, "1.0", "latest")
	r.put(other, m, "1.0")
	r.ok(r.DeleteManifest(r.ctx, name, byDigest(m.Digest)), "DeleteManifest")
	for _, ref := range []oci.Reference{byTag("1.0"), byTag("latest"), byDigest(m.Digest)} {
		r.misses(name, ref)
	}
	r.gives(name, byTag("kept"), kept)
	r.gives(other, byTag("1.0"), m)
}

// What is acknowledged last is there whole: a tag leads to a digest that is
// there, too, and a manifest has its blobs.
func pushBesideDelete(_ *testing.T, r registry) {
	name := r.name("org/app")
	m := r.image(name, "an image")
	refs, err := oci.ParseReferences(m.Content)
	r.ok(err, "ParseReferences")
	for range 50 {
		var all sync.WaitGroup
		all.Go(func() {
			if err := r.PutManifest(r.ctx, name, m, tag("latest")); err != nil && !errors.Is(err, oci.ManifestBlobUnknown) {
				r.Errorf("PutManifest: %v", err)
			}
		})
		all.Go(func() {
			if err := r.DeleteManifest(r.ctx, name, byDigest(m.Digest)); err != nil && !errors.Is(err, oci.ManifestUnknown) {
				r.Errorf("DeleteManifest: %v", err)
			}
		})
		all.Go(func() {
			err := r.DeleteBlob(r.ctx, name, refs.Blobs[1].Digest)
			if err != nil && !errors.Is(err, oci.Unsupported) {
				r.Errorf("DeleteBlob: %v", err)
			}
		})
		all.Wait()
		if _, err := r.StatManifest(r.ctx, name, byTag("latest")); err == nil {
			r.gives(name, byDigest(m.Digest), m)
			_, err := r.StatBlob(r.ctx, name, refs.Blobs[1].Digest)
			r.ok(err, "StatBlob of a manifest that is there")
		}
		r.push(name, "layer of an image")
	}
}

func listTags(t *testing.T, r registry) {
	name := r.name("org/app")
	var found error
	for _, err := range r.Tags(r.ctx, name, oci.Tag{}) {
		found = err
	}
	r.is(found, oci.NameUnknown, "Tags of a repository that is not there")

	m := r.put(name, r.image(name, "an image"))
	if got := all(t, r.Tags(r.ctx, name, oci.Tag{}), oci.Tag.String); got != nil {
		t.Errorf("tags %q, want none: digests are no tags", got)
	}
	r.put(name, m, "b", "B", "a.1", "a-1", "_", "10", "9")
	for after, want := range map[oci.Tag][]string{
		{}:         {"10", "9", "B", "_", "a-1", "a.1", "b"},
		tag("_"):   {"a-1", "a.1", "b"},
		tag("a"):   {"a-1", "a.1", "b"},
		tag("b"):   nil,
		tag("zzz"): nil,
	} {
		if got := all(t, r.Tags(r.ctx, name, after), oci.Tag.String); !slices.Equal(got, want) {
			t.Errorf("tags after %q: %q, want %q", after, got, want)
		}
	}
}

func listRepositories(t *testing.T, r registry) {
	if got := all(t, r.Repositories(r.ctx, ""), oci.Name.String); got != nil {
		t.Errorf("repositories %q, want none", got)
	}
	// Byte order, in which "/" comes after "-" and "." and before digits.
	want := []string{"a", "a-b", "a-b/c", "a.b", "a/b/c", "a/manifests", "a/manifests/tags", "a/z", "a0", "a_b", "manifests", "z"}
	for i, repository := range want {
		r.put(r.name(repository), r.image(r.name(repository), fmt.Sprint(i)), "latest")
	}
	if got := all(t, r.Repositories(r.ctx, ""), oci.Name.String); !slices.Equal(got, want) {
		t.Errorf("repositories %q, want %q", got, want)
	}
	for i, repository := range want {
		if got := all(t, r.Repositories(r.ctx, repository), oci.Name.String); !slices.Equal(got, want[i+1:]) {
			t.Errorf("repositories after %s: %q, want %q", repository, got, want[i+1:])
		}
	}
}

func listReferrers(t *testing.T, r registry) {
	name := r.name("org/app")
	subject := r.image(name, "an image")
	list := func() []string {
		return all(t, r.Referrers(r.ctx, name, subject.Digest), func(d oci.Descriptor) string {
			return fmt.Sprintf("%s %s %d %s %v", d.MediaType, d.Digest, d.Size, d.ArtifactType, d.Annotations)
		})
	}
	if got := list(); got != nil {
		t.Errorf("referrers %q, want none", got)
	}
	empty := r.push(name, "{}")
	var want []string
	for _, own := range []string{"application/x-signature", ""} {
		body := object{"mediaType": oci.MediaTypeImageManifest, "config": descriptor("application/x-config", empty),
			"subject": subject.Descriptor, "annotations": object{"key": "value"}}
		listed := "application/x-config"
		if own != "" {
			body["artifactType"], listed = own, own
		}
		m := r.put(name, r.manifest("", body)) // before its subject
		want = append(want, fmt.Sprintf("%s %s %d %s map[key:value]", m.MediaType, m.Digest, m.Size, listed))
	}
	slices.Sort(want)
	r.put(name, subject, "latest")
	got := list()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("referrers %q, want %q", got, want)
	}
	for d, err := range r.Referrers(r.ctx, name, subject.Digest) {
		r.ok(err, "Referrers")
		r.ok(r.DeleteManifest(r.ctx, name, byDigest(d.Digest)), "DeleteManifest")
		break
	}
	if got := list(); len(got) != 1 {
		t.Errorf("referrers %q after one was deleted, want one", got)
	}
}
