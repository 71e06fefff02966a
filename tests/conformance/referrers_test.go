package conformance

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"testing"
)

// wantReferrers sends the request and wants these descriptors, in any order.
func wantReferrers(t *testing.T, q *request, want ...descriptor) *answer {
	t.Helper()
	a := q.expect(http.StatusOK).has("Content-Type", ociIndex)
	var list struct {
		SchemaVersion int
		MediaType     string
		Manifests     *[]descriptor
	}
	a.json(&list)
	if list.SchemaVersion != 2 || list.MediaType != ociIndex || list.Manifests == nil {
		t.Fatalf("%s: %s, want an index with a list of manifests", a.request, a.summary())
	}
	byDigest := func(a, b descriptor) int { return cmp.Compare(a.Digest, b.Digest) }
	got := slices.SortedFunc(slices.Values(*list.Manifests), byDigest)
	slices.SortFunc(want, byDigest)
	if !slices.EqualFunc(got, want, sameReferrer) {
		t.Errorf("%s lists\n%v, want\n%v", a.request, got, want)
	}
	return a
}

func sameReferrer(a, b descriptor) bool {
	return a.MediaType == b.MediaType && a.Digest == b.Digest && a.Size == b.Size &&
		a.ArtifactType == b.ArtifactType && maps.Equal(a.Annotations, b.Annotations)
}

// referring is the descriptor by which a manifest is listed.
func referring(m manifest, artifactType string, annotations map[string]string) descriptor {
	d := m.descriptor()
	d.ArtifactType, d.Annotations = artifactType, annotations
	return d
}

// What is attached to a manifest is listed with its type and annotations, and
// the push says that the client need not keep the list itself.
func TestReferrers(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	subject := repo.image("subject")
	repo.tag("latest", subject)
	notes := map[string]string{"org.example.format": "json", "org.example.note": "ünïcode & <markup>"}
	bill := repo.artifact(sbom).with("annotations", notes).about(subject).manifest()
	signed := repo.artifact(signature).about(subject).manifest()
	variant := repo.imageDocument("variant").about(subject).manifest()
	bundle := indexOf(repo.kept(repo.image("child"))).with("artifactType", sbom).about(subject).manifest()
	plain := indexOf().about(subject).with("annotations", notes).manifest()

	repo.keep(bill).has("OCI-Subject", subject.digest)
	repo.tag("signature", signed).has("OCI-Subject", subject.digest)
	for _, m := range []manifest{variant, bundle, plain} {
		repo.keep(m).has("OCI-Subject", subject.digest)
	}
	repo.keep(repo.image("about nothing")).lacks("OCI-Subject")

	list := func() *request { return repo.get("/referrers/" + subject.digest) }
	wantReferrers(t, list(),
		referring(bill, sbom, notes),
		referring(signed, signature, nil),
		referring(variant, ociConfig, nil), // an image has its config's type
		referring(bundle, sbom, nil),
		referring(plain, "", notes), // an index has none
	).lacks("OCI-Filters-Applied")
	for artifactType, want := range map[string][]descriptor{
		sbom:                  {referring(bill, sbom, notes), referring(bundle, sbom, nil)},
		signature:             {referring(signed, signature, nil)},
		ociConfig:             {referring(variant, ociConfig, nil)},
		"application/nothing": {},
	} {
		wantReferrers(t, list().query("artifactType", artifactType), want...).has("OCI-Filters-Applied", "artifactType")
	}
	wantReferrers(t, repo.get("/referrers/"+bill.digest))
}

// Nothing known is an empty list, never 404: clients take that for a registry
// without the API, and keep lists under tags of their own.
func TestNoReferrers(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	digest := repo.text("what is not there").digest
	wantReferrers(t, repo.get("/referrers/"+digest))
	wantReferrers(t, repo.get("/referrers/"+digest).query("artifactType", sbom)).has("OCI-Filters-Applied", "artifactType")
	repo.tag("latest", repo.image("image"))
	wantReferrers(t, repo.get("/referrers/"+digest))
	wantReferrers(t, repo.get("/referrers/"+repo.text("another").by512().digest))
}

// The subject may come after what is attached to it, and go before.
func TestReferrersWithoutSubject(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	subject := repo.image("subject")
	bill := repo.artifact(sbom).about(subject).manifest()
	repo.tag("sbom", bill).has("OCI-Subject", subject.digest)
	list := func() *request { return repo.get("/referrers/" + subject.digest) }
	wantReferrers(t, list(), referring(bill, sbom, nil))
	repo.keep(subject)
	wantReferrers(t, list(), referring(bill, sbom, nil))
	repo.delete("/manifests/" + subject.digest).expect(http.StatusAccepted)
	wantReferrers(t, list(), referring(bill, sbom, nil))
}

// A referrer is listed while it is there, however often it is pushed, in its
// own repository and in no other.
func TestReferrerIsDeleted(t *testing.T) {
	t.Parallel()
	repo, other := newRepository(t, public), newRepository(t, public)
	subject := repo.image("subject")
	repo.keep(subject)
	bill, signed := repo.artifact(sbom).about(subject).manifest(), repo.artifact(signature).about(subject).manifest()
	for range 2 {
		repo.keep(bill)
		repo.tag("signature", signed)
	}
	list := func() *request { return repo.get("/referrers/" + subject.digest) }
	wantReferrers(t, list(), referring(bill, sbom, nil), referring(signed, signature, nil))
	wantReferrers(t, other.get("/referrers/"+subject.digest))

	repo.delete("/manifests/signature").expect(http.StatusAccepted) // but a tag
	wantReferrers(t, list(), referring(bill, sbom, nil), referring(signed, signature, nil))
	repo.delete("/manifests/" + bill.digest).expect(http.StatusAccepted)
	wantReferrers(t, list(), referring(signed, signature, nil))
	repo.delete("/manifests/" + signed.digest).expect(http.StatusAccepted)
	wantReferrers(t, list())

	repo.keep(bill)
	wantReferrers(t, list(), referring(bill, sbom, nil))
}

// Subjects and what is attached to them may be named by sha512.
func TestReferrersBySha512(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	subject := repo.image("subject").by512()
	repo.keep(subject)
	bill := repo.artifact(sbom).about(subject).manifest().by512()
	repo.keep(bill).has("OCI-Subject", subject.digest)
	wantReferrers(t, repo.get("/referrers/"+subject.digest), referring(bill, sbom, nil))
}
