package local_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

const artifact = `{"mediaType":"application/x-artifact"}`

func theManifest(t *testing.T, content string) oci.Manifest {
	t.Helper()
	m, err := oci.NewManifest("", []byte(content), oci.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func theName(t *testing.T, mode namespace.Mode, path string) oci.Name {
	t.Helper()
	n, err := mode.Name(path, "")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What was fetched is kept beside what was pushed: neither is taken for the other.
func TestFetchedIsNotPushed(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		r, n := local.New(d, local.Options{}), theName(t, namespace.Auto, "org/app")
		latest, err := oci.ParseReference("latest")
		if err != nil {
			t.Fatal(err)
		}
		fetched, pushed := theManifest(t, artifact), theManifest(t, artifact+" ")
		if err := r.KeepManifest(t.Context(), n, fetched, latest.Tag); err != nil {
			t.Fatal(err)
		}
		if _, err := r.GetManifest(t.Context(), n, latest); !errors.Is(err, oci.ManifestUnknown) {
			t.Errorf("what was fetched counts as pushed: %v", err)
		}
		if got := texts(t, r.Repositories(t.Context(), "")); got != nil {
			t.Errorf("what was fetched is in the catalog: %q", got)
		}
		if err := r.PutManifest(t.Context(), n, pushed, latest.Tag); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []oci.Reference{latest, {Digest: fetched.Digest}} {
			m, asOf, err := r.FetchedManifest(t.Context(), n, ref)
			if err != nil || m.Digest != fetched.Digest || m.MediaType != fetched.MediaType || string(m.Content) != artifact {
				t.Errorf("fetched %s: %+v, %v", ref, m, err)
			}
			if age := time.Since(asOf); age < 0 || age > time.Minute {
				t.Errorf("fetched %s as of %v", ref, asOf)
			}
		}
		if err := r.ForgetManifest(t.Context(), n, latest); err != nil {
			t.Error(err)
		}
		if _, _, err := r.FetchedManifest(t.Context(), n, latest); !errors.Is(err, oci.ManifestUnknown) {
			t.Errorf("forgotten: %v", err)
		}
		if m, err := r.GetManifest(t.Context(), n, latest); err != nil || m.Digest != pushed.Digest {
			t.Errorf("pushed: %+v, %v", m, err)
		}
	})
}

// A damaged record of what was fetched is as good as none, one of what was pushed
// is a fault.
func TestDamagedRecords(t *testing.T) {
	d := drivers["memory"](t)
	r, n := local.New(d, local.Options{}), theName(t, namespace.Auto, "org/app")
	m := theManifest(t, artifact)
	ref := oci.Reference{Digest: m.Digest}
	if err := errors.Join(r.KeepManifest(t.Context(), n, m, oci.Tag{}), r.PutManifest(t.Context(), n, m)); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "{", "{}", "[]", `{"x":"y"}`} {
		for _, object := range objects(t, d, ".") {
			if !strings.Contains(object, "/manifests/") {
				continue
			}
			if err := d.Put(t.Context(), object, strings.NewReader(content), storage.Durable); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := r.FetchedManifest(t.Context(), n, ref); !errors.Is(err, oci.ManifestUnknown) {
			t.Errorf("fetched with %q: %v", content, err)
		}
		_, err := r.GetManifest(t.Context(), n, ref)
		if _, told := oci.AsError(err); told || err == nil {
			t.Errorf("pushed with %q: %v", content, err)
		}
	}
}

// A damaged body of what was fetched is fetched again.
func TestDamagedBodies(t *testing.T) {
	d := drivers["memory"](t)
	r, n, m := local.New(d, local.Options{}), theName(t, namespace.Auto, "org/app"), theManifest(t, artifact)
	body := "_local/blobs/" + m.Digest.String() + "/data"
	for _, damage := range []string{"", strings.Repeat("x", len(artifact))} {
		if err := r.KeepManifest(t.Context(), n, m, oci.Tag{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.FetchedManifest(t.Context(), n, oci.Reference{Digest: m.Digest}); err != nil {
			t.Error(err)
		}
		if err := d.Put(t.Context(), body, strings.NewReader(damage), storage.Durable); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.FetchedManifest(t.Context(), n, oci.Reference{Digest: m.Digest}); !errors.Is(err, oci.ManifestUnknown) {
			t.Errorf("with %q: %v", damage, err)
		}
	}
}

// What has a source need not be here to be referred to.
func TestSourcesCompleteManifests(t *testing.T) {
	r, n := local.New(drivers["memory"](t), local.Options{}), theName(t, namespace.Auto, "org/app")
	elsewhere, nowhere := oci.SHA256.Sum([]byte("elsewhere")), oci.SHA256.Sum([]byte("nowhere"))
	base := oci.PublicName{Namespace: "docker.io", Repository: "library/debian"}
	if err := r.KeepSource(t.Context(), n.Area, elsewhere, base); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Source(t.Context(), n.Area, elsewhere); err != nil || got != base {
		t.Errorf("source: %+v, %v", got, err)
	}
	if _, err := r.Source(t.Context(), n.Area, nowhere); !errors.Is(err, oci.BlobUnknown) {
		t.Errorf("no source: %v", err)
	}
	m := theManifest(t, `{"mediaType":"application/x","blobs":[{"mediaType":"x","size":1,"digest":"`+elsewhere.String()+
		`"},{"mediaType":"x","size":1,"digest":"`+nowhere.String()+`"}]}`)
	missing, err := r.Missing(t.Context(), n, m)
	if err != nil || len(missing.Blobs) != 1 || missing.Blobs[0].Digest != nowhere || missing.Manifests != nil {
		t.Errorf("missing: %+v, %v", missing, err)
	}
	if err := r.PutManifest(t.Context(), n, m); !errors.Is(err, oci.ManifestBlobUnknown) {
		t.Errorf("PutManifest: %v", err)
	}
	if err := r.KeepSource(t.Context(), n.Area, nowhere, base); err != nil {
		t.Fatal(err)
	}
	if err := r.PutManifest(t.Context(), n, m); err != nil {
		t.Errorf("PutManifest: %v", err)
	}
}

// Namespaces are listed in the order of the names that they make.
func TestRepositoriesPerNamespace(t *testing.T) {
	onEachDriver(t, func(t *testing.T, d storage.Driver) {
		r := local.New(d, local.Options{PerNamespace: true})
		want := []string{"a-b/z", "a/b", "a/c/d", "docker.io/library/alpine", "quay.io/org/app", "quay.io/org/app/x"}
		for _, path := range want {
			if err := r.PutManifest(t.Context(), theName(t, namespace.Path, path), theManifest(t, artifact)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.PutManifest(t.Context(), theName(t, namespace.Auto, "alone"), theManifest(t, artifact)); err != nil {
			t.Fatal(err)
		}
		for i := range len(want) + 1 {
			after := ""
			if i > 0 {
				after = want[i-1]
			}
			if got := texts(t, r.Repositories(t.Context(), after)); !slices.Equal(got, want[i:]) {
				t.Errorf("after %q: %q, want %q", after, got, want[i:])
			}
		}
		if got := texts(t, r.Repositories(t.Context(), "a/bb")); !slices.Equal(got, want[2:]) {
			t.Errorf("after a/bb: %q, want %q", got, want[2:])
		}
		if got := texts(t, local.New(d, local.Options{}).Repositories(t.Context(), "")); !slices.Equal(got, []string{"library/alone"}) {
			t.Errorf("in one area: %q", got)
		}
	})
}

func texts(t *testing.T, names iter.Seq2[oci.Name, error]) []string {
	t.Helper()
	var all []string
	for n, err := range names {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n.String())
	}
	return all
}
