package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// A list of tags has those here and those upstream, each once, in order,
// however the upstream orders and pages them.
func TestShadowTagsAreUnited(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	theirs := []string{"latest", "2.0", "1.0", "10.0", "Upper", "a", "zeta", "beta"} // more than a page, in no order
	for _, tag := range theirs {
		up.tagged("org/app", tag)
	}
	mirror := shadow(t, up)
	writer, reader := mirror.repository(t, "org/app"), mirror.reader(t, "org/app")
	list := func() *request { return reader.get("/tags/list") }
	wantTags(t, list(), slices.Sorted(slices.Values(theirs))).lacks("Warning").lacks("Link")

	for _, tag := range []string{"latest", "1.1", "mine"} { // one of which is there, too
		writer.pushes(tag)
	}
	all := slices.Sorted(slices.Values(append(theirs, "1.1", "mine")))
	wantTags(t, list(), all).lacks("Warning").lacks("Link")
	for size := 1; size <= len(all)+1; size++ {
		pages(t, list().query("n", fmt.Sprint(size)), "tags", size, all)
	}
	for i, tag := range all {
		pages(t, list().query("last", tag).query("n", "2"), "tags", 2, all[i+1:])
	}
	wantTags(t, list().query("last", "1.00"), all[slices.Index(all, "1.1"):]) // which is no tag
	wantTags(t, list().query("n", "0"), []string{})
}

// A repository that only one of both has is listed as that one has it.
func TestShadowTagsOfOne(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.tagged("org/upstream", "theirs")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	mirror.repository(t, "org/local").pushes("mine")
	wantTags(t, mirror.reader(t, "org/upstream").get("/tags/list"), []string{"theirs"})
	wantTags(t, mirror.reader(t, "org/local").get("/tags/list"), []string{"mine"}).lacks("Warning")
	mirror.reader(t, "org/nowhere").get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)

	writer := mirror.repository(t, "org/upstream")
	writer.pushes("mine")
	wantTags(t, writer.get("/tags/list"), []string{"mine", "theirs"})
	writer.delete("/manifests/mine").expect(http.StatusAccepted)
	wantTags(t, writer.get("/tags/list"), []string{"theirs"})
	up.untag("org/upstream", "theirs")
	up.tagged("org/upstream", "newer")
	wantTags(t, writer.get("/tags/list"), []string{"newer"})
}

// brokenLists are what an upstream may say that is no list.
var brokenLists = []struct {
	name  string
	fault fault
}{
	{"hangs", hangs},
	{"hangs up", hangsUp},
	{"has had too many requests", answers(http.StatusTooManyRequests)},
	{"has a fault", answers(http.StatusInternalServerError)},
	{"shows a page for people", showsPage},
	{"says nothing", sends(nil)},
	{"says half of it", cutsAfter(10)},
	{"never ends", neverEnds(http.StatusOK, ociIndex, `{"schemaVersion": 2, "tags": ["`)}, // a type that will do for both
	{"leads to itself for more", says("Link", `</v2/org/app/tags/list?next_page=0>; rel="next"`)},
	{"redirects in a circle", leadsAstray},
}

// Without the upstream, the part that is here is listed, with a warning that it
// may not be all.
func TestShadowListingsOfAnUpstreamInTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range brokenLists {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			up.tagged("org/app", "theirs")
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "1s")
			writer, reader := mirror.repository(t, "org/app"), mirror.reader(t, "org/app")
			subject := writer.pushes("mine")
			bill := writer.artifact(sbom).about(subject).manifest()
			writer.keep(bill)
			up.fails(tt.fault, listTags, listReferrers)
			a := reader.get("/tags/list").expect(http.StatusOK).warns()
			var list struct{ Tags []string }
			if a.json(&list); !slices.Contains(list.Tags, "mine") {
				t.Errorf("%s: %s, want the tag that is here", a.request, a.summary())
			}
			if tt.name != "leads to itself for more" { // referrers come in one
				wantReferrers(t, reader.get("/referrers/"+subject.digest), referring(bill, sbom, nil)).warns()
			}
			reader.get("/manifests/mine").expect(http.StatusOK).lacks("Warning")
		})
	}
}

func TestShadowListingsWithUpstreamDown(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	subject := up.tagged("org/app", "theirs")
	mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "1s")
	writer, reader := mirror.repository(t, "org/app"), mirror.reader(t, "org/app")
	writer.pushes("mine")
	up.down()
	wantTags(t, reader.get("/tags/list"), []string{"mine"}).warns()
	wantReferrers(t, reader.get("/referrers/"+subject.digest)).warns()
	mirror.reader(t, "org/unseen").get("/tags/list").expect(http.StatusOK, http.StatusServiceUnavailable)
	wantList(t, mirror.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()), "repositories", []string{"org/app"}).lacks("Warning")
	mirror.logs(t, "level=WARN", "docker.io")
}

// What is attached to an image is listed wherever it is: a signature that was
// pushed here, of an image that is upstream, beside those that are there.
func TestShadowReferrersAreUnited(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	subject := up.tagged("org/app", "latest")
	config, content := blobOf([]byte("{}")), blobOf([]byte("the upstream's bill"))
	theirs := artifactOf(sbom, config, content).about(subject.manifest).manifest()
	up.put("org/app", config, content)
	up.keep("org/app", theirs)
	up.refer("org/app", subject.manifest, referring(theirs, sbom, nil))
	mirror := shadow(t, up)
	reader, writer := mirror.reader(t, "org/app"), mirror.repository(t, "org/app")
	list := func() *request { return reader.get("/referrers/" + subject.digest) }
	wantReferrers(t, list(), referring(theirs, sbom, nil)).lacks("Warning")

	mine := writer.artifact(signature).about(subject.manifest).manifest()
	writer.keep(mine).has("OCI-Subject", subject.digest)
	wantReferrers(t, list(), referring(theirs, sbom, nil), referring(mine, signature, nil)).lacks("Warning")
	wantReferrers(t, list().query("artifactType", sbom), referring(theirs, sbom, nil)).has("OCI-Filters-Applied", "artifactType")
	wantReferrers(t, list().query("artifactType", signature), referring(mine, signature, nil)).has("OCI-Filters-Applied", "artifactType")
	reader.serves(theirs.digest, theirs)
	reader.servesBlob(content)

	writer.has(content)
	writer.has(config)
	writer.keep(theirs) // which both have now
	wantReferrers(t, list(), referring(theirs, sbom, nil), referring(mine, signature, nil))
}

// An upstream that knows no referrers has none; that is no trouble.
func TestShadowReferrersOfAnOldUpstream(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	subject := up.tagged("org/app", "latest")
	up.fails(answers(http.StatusNotFound), listReferrers)
	mirror := shadow(t, up)
	writer := mirror.repository(t, "org/app")
	list := func() *request { return mirror.reader(t, "org/app").get("/referrers/" + subject.digest) }
	wantReferrers(t, list()).lacks("Warning")
	mine := writer.artifact(signature).about(subject.manifest).manifest()
	writer.keep(mine)
	wantReferrers(t, list(), referring(mine, signature, nil)).lacks("Warning")
}

// Of what nobody has there is nothing attached.
func TestShadowReferrersOfNothing(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	mirror := shadow(t, up)
	reader := mirror.reader(t, "org/app")
	wantReferrers(t, reader.get("/referrers/"+reader.text("a text").digest)).lacks("Warning")
}
