package shadow_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/registrytest"
)

// Before an upstream that has nothing, the registry is one like any other.
func TestRegistry(t *testing.T) {
	named := func(path string) (oci.Name, error) { return namespace.None.Name(path, "") }
	t.Run("as pullers see it", func(t *testing.T) {
		registrytest.Suite{Name: named, New: func(t *testing.T) oci.Registry { return newWorld(t, 0).Registry }}.Run(t)
	})
	t.Run("as pushers see it", func(t *testing.T) {
		registrytest.Suite{Name: named, New: func(t *testing.T) oci.Registry { return newWorld(t, 0).Pushes() }}.Run(t)
	})
}

func TestLocalFirst(t *testing.T) {
	w := newWorld(t, time.Hour)
	theirs := w.tagged(w.there, "org/app", "latest")
	w.gives("org/app", tag("latest"), theirs, false)
	w.wasAsked("GET manifests")
	w.gives("org/app", tag("latest"), theirs, false)
	w.gives("org/app", oci.Reference{Digest: theirs.Digest}, theirs, false)
	w.wasAsked()

	ours := artifact(t, "speculative")
	w.ok(w.PutManifest(t.Context(), name("org/app"), ours, tag("latest").Tag))
	w.gives("org/app", tag("latest"), ours, false)
	w.gives("org/app", oci.Reference{Digest: theirs.Digest}, theirs, false)
	w.wasAsked()
	w.ok(w.DeleteManifest(t.Context(), name("org/app"), tag("latest")))
	w.gives("org/app", tag("latest"), theirs, false)
}

func TestTagsAreCheckedAgain(t *testing.T) {
	w := newWorld(t, 0)
	first := w.tagged(w.there, "org/app", "latest")
	w.gives("org/app", tag("latest"), first, false)
	w.wasAsked("GET manifests")
	w.gives("org/app", tag("latest"), first, false)
	w.wasAsked("HEAD manifests")

	second := artifact(t, "moved")
	w.ok(w.there.PutManifest(t.Context(), name("org/app"), second, tag("latest").Tag))
	w.gives("org/app", tag("latest"), second, false)
	w.wasAsked("HEAD manifests", "GET manifests")
	w.gives("org/app", oci.Reference{Digest: first.Digest}, first, false)
	w.wasAsked()

	w.ok(w.there.DeleteManifest(t.Context(), name("org/app"), tag("latest")))
	_, err := w.GetManifest(t.Context(), name("org/app"), tag("latest"))
	if !errors.Is(err, oci.ManifestUnknown) {
		t.Errorf("a tag that the upstream has no more: %v", err)
	}
	w.let(fails(http.StatusBadGateway))
	if _, err = w.GetManifest(t.Context(), name("org/app"), tag("latest")); !errors.Is(err, oci.Unavailable) {
		t.Errorf("a tag that nobody has: %v", err)
	}
}

func TestUpstreamFails(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		w := newWorld(t, 0)
		layer := w.push(w.there, "org/app", "layer")
		m := w.tagged(w.there, "org/app", "latest", layer)
		w.gives("org/app", tag("latest"), m, false)
		if _, err := w.reads(t.Context(), "org/app", layer); err != nil {
			t.Error(err)
		}
		w.let(fails(status))
		w.gives("org/app", tag("latest"), m, true)
		w.gives("org/app", oci.Reference{Digest: m.Digest}, m, false)
		if got, err := w.reads(t.Context(), "org/app", layer); err != nil || got != "layer" {
			t.Errorf("%d: the layer is %q, %v", status, got, err)
		}
		if !w.log.contains("the last answer known is given") {
			t.Errorf("%d: it is not in the log", status)
		}
		_, err := w.GetManifest(t.Context(), name("org/app"), tag("other"))
		if !errors.Is(err, oci.Unavailable) {
			t.Errorf("%d: what is not known: %v", status, err)
		}
		_, err = w.reads(t.Context(), "org/app", oci.SHA256.Sum([]byte("other")))
		if !errors.Is(err, oci.Unavailable) {
			t.Errorf("%d: a blob that is not known: %v", status, err)
		}
	}
}

// Nobody is asked about a namespace that is not configured.
func TestUnknownNamespace(t *testing.T) {
	w := newWorld(t, 0)
	n, err := namespace.Auto.Name("org/app", "example.com")
	w.ok(err)
	if _, err := w.GetManifest(t.Context(), n, tag("latest")); !errors.Is(err, oci.ManifestUnknown) {
		t.Errorf("GetManifest: %v", err)
	}
	if _, err := w.OpenBlob(t.Context(), n, oci.SHA256.Sum(nil)); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("OpenBlob: %v", err)
	}
	if _, err := w.StatBlob(t.Context(), n, oci.SHA256.Sum(nil)); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("StatBlob: %v", err)
	}
	w.wasAsked()
}

func TestListingsUnite(t *testing.T) {
	w := newWorld(t, 0)
	tags := func() (all []string, warned bool, fault error) {
		ctx := oci.OnWarning(t.Context(), func(string) { warned = true })
		for got, err := range w.Tags(ctx, name("org/app"), tag("a").Tag) {
			if err != nil {
				return all, warned, err
			}
			all = append(all, got.String())
		}
		return all, warned, nil
	}
	if _, _, err := tags(); !errors.Is(err, oci.NameUnknown) {
		t.Errorf("neither has it: %v", err)
	}
	subject := oci.SHA256.Sum([]byte("subject"))
	referrer := func(note string) oci.Manifest {
		m, err := oci.NewManifest("application/x", []byte(`{"annotations":{"note":"`+note+`"},"subject":{"mediaType":"x","size":1,"digest":"`+subject.String()+`"}}`), oci.SHA256)
		w.ok(err)
		return m
	}
	ours, theirs, both := referrer("ours"), referrer("theirs"), referrer("both")
	for r, tags := range map[oci.Registry][]string{w.there: {"a", "b", "d"}} {
		for _, s := range tags {
			w.tagged(r, "org/app", s)
		}
	}
	if got, _, err := tags(); err != nil || !slices.Equal(got, []string{"b", "d"}) {
		t.Errorf("only the upstream has it: %q, %v", got, err)
	}
	for _, s := range []string{"a", "c", "d", "e"} {
		w.tagged(w.kept, "org/app", s)
	}
	if got, warned, err := tags(); err != nil || warned || !slices.Equal(got, []string{"b", "c", "d", "e"}) {
		t.Errorf("both have it: %q, %t, %v", got, warned, err)
	}
	for _, m := range []oci.Manifest{ours, both} {
		w.ok(w.kept.PutManifest(t.Context(), name("org/app"), m))
	}
	for _, m := range []oci.Manifest{theirs, both} {
		w.ok(w.there.PutManifest(t.Context(), name("org/app"), m))
	}
	want := []string{ours.Digest.String(), theirs.Digest.String(), both.Digest.String()}
	slices.Sort(want)
	var got []string
	for d, err := range w.Referrers(t.Context(), name("org/app"), subject) {
		w.ok(err)
		got = append(got, d.Digest.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("referrers %q, want %q", got, want)
	}
	w.let(fails(http.StatusBadGateway))
	if got, warned, err := tags(); err != nil || !warned || !slices.Equal(got, []string{"c", "d", "e"}) {
		t.Errorf("the upstream fails: %q, %t, %v", got, warned, err)
	}
}

// What a manifest refers to may be the upstream's: in the repository of the same
// name, or in the one that it was mounted from.
func TestPushOnTopOfTheUpstream(t *testing.T) {
	w := newWorld(t, 0)
	same, base := w.push(w.there, "org/app", "of the released one"), w.push(w.there, "library/debian", "of the base")
	child := w.tagged(w.there, "org/app", "child")
	m := artifact(t, "speculative", same, base)
	pushes := w.Pushes()
	// Blobs are everywhere in an upstream of ours: not so at others.
	w.let(func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "org/app/blobs/"+base.String()) && fails(http.StatusNotFound)(rw, r)
	})
	if err := pushes.PutManifest(t.Context(), name("org/app"), m); !errors.Is(err, oci.ManifestBlobUnknown) {
		t.Errorf("with a base that was not mounted: %v", err)
	}
	if _, err := pushes.MountBlob(t.Context(), name("org/app"), name("library/debian"), base); err != nil {
		t.Errorf("MountBlob: %v", err)
	}
	w.ok(pushes.PutManifest(t.Context(), name("org/app"), m, tag("latest").Tag))
	index, err := oci.NewManifest(oci.MediaTypeImageIndex, []byte(`{"manifests":[{"mediaType":"x","size":1,"digest":"`+child.Digest.String()+`"}]}`), oci.SHA256)
	w.ok(err)
	w.ok(pushes.PutManifest(t.Context(), name("org/app"), index, tag("index").Tag))

	if _, err := pushes.StatBlob(t.Context(), name("org/app"), same); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("pushers see what is not here: %v", err)
	}
	for d, want := range map[oci.Digest]string{same: "of the released one", base: "of the base"} {
		if got, err := w.reads(t.Context(), "org/app", d); err != nil || got != want {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
	w.gives("org/app", oci.Reference{Digest: child.Digest}, child, false)
}

// A source that does not answer does not hide the repository that the name shadows.
func TestSourcesInTrouble(t *testing.T) {
	w := newWorld(t, 0)
	layer := w.push(w.there, "org/app", "layer")
	m := w.tagged(w.there, "org/app", "latest")
	for d := range map[oci.Digest]bool{layer: true, m.Digest: true} {
		w.ok(w.kept.KeepSource(t.Context(), "_local", d, name("org/gone").Shadows))
	}
	w.let(func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "org/gone") && fails(http.StatusBadGateway)(rw, r)
	})
	if _, err := w.StatBlob(t.Context(), name("org/app"), layer); err != nil {
		t.Errorf("StatBlob: %v", err)
	}
	if got, err := w.reads(t.Context(), "org/app", layer); err != nil || got != "layer" {
		t.Errorf("read %q, %v", got, err)
	}
	w.gives("org/app", oci.Reference{Digest: m.Digest}, m, false)
	if _, err := w.reads(t.Context(), "org/gone", oci.SHA256.Sum([]byte("x"))); !errors.Is(err, oci.Unavailable) {
		t.Errorf("what only it may have: %v", err)
	}
}

// A full disk while a source is noted is a fault, and no missing layer.
func TestSourcesThatCannotBeNoted(t *testing.T) {
	w := newWorld(t, 0)
	layer := w.push(w.there, "org/app", "layer")
	w.store.full = errors.New("no space left")
	err := w.Pushes().PutManifest(t.Context(), name("org/app"), artifact(t, "x", layer))
	if _, told := oci.AsError(err); told || err == nil {
		t.Errorf("PutManifest: %v", err)
	}
	_, err = w.Pushes().MountBlob(t.Context(), name("org/app"), name("org/base"), layer)
	if _, told := oci.AsError(err); told || err == nil {
		t.Errorf("MountBlob: %v", err)
	}
}

// A push does not depend on an upstream.
func TestPushWithoutTheUpstream(t *testing.T) {
	w := newWorld(t, 0)
	w.let(fails(http.StatusBadGateway))
	pushes := w.Pushes()
	layer := w.push(pushes, "org/app", "layer")
	w.tagged(pushes, "org/app", "latest", layer)
	if _, err := pushes.StatManifest(t.Context(), name("org/app"), tag("other")); !errors.Is(err, oci.ManifestUnknown) {
		t.Errorf("StatManifest: %v", err)
	}
	w.wasAsked()
	if _, err := pushes.MountBlob(t.Context(), name("org/app"), name("library/debian"), oci.SHA256.Sum(nil)); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("MountBlob: %v", err)
	}
	if err := pushes.PutManifest(t.Context(), name("org/app"), artifact(t, "x", oci.SHA256.Sum(nil))); !errors.Is(err, oci.ManifestBlobUnknown) {
		t.Errorf("PutManifest: %v", err)
	}
}
