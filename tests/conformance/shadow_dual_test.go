package conformance

import (
	"maps"
	"net/http"
	"testing"
)

// dual starts a registry with a listener for pulls and one for pushes, which it
// returns in that order.
func dual(t *testing.T, u *upstream, settings ...string) (pulls, pushes *server) {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	pulls = shadow(t, u, append(settings, "PUSH_ADDRESS", address)...)
	pushes = &server{installation: pulls.installation, client: pulls.client, trust: pulls.trust, secrets: map[string]bool{}}
	pushes.address = address
	t.Cleanup(func() { // before the server ends, whose log is then held against them
		for secret := range maps.Keys(pushes.secrets) {
			pulls.keepSecret(secret)
		}
	})
	return pulls, pushes
}

// One listener reads, from here and from the upstream; the other one has what
// was pushed, and nothing else.
func TestPushAddress(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	theirs := up.tagged("org/app", "1.0")
	pulls, pushes := dual(t, up, "UPSTREAM_TAG_TTL", "0")
	here := pushes.reader(t, "org/app")
	here.lacks("1.0")
	here.lacks(theirs.digest)
	here.lacksBlob(theirs.layer.digest)
	here.get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
	wantReferrers(t, here.get("/referrers/"+theirs.digest)).lacks("Warning")
	up.wasLeftAlone(t)

	there := pulls.reader(t, "org/app")
	there.servesAll("1.0", theirs)
	here.lacks("1.0") // still

	mine := pushes.repository(t, "org/app").pushes("1.0")
	here.serves("1.0", mine)
	there.serves("1.0", mine)
	wantTags(t, here.get("/tags/list"), []string{"1.0"})
	up.tagged("org/app", "2.0")
	wantTags(t, there.get("/tags/list"), []string{"1.0", "2.0"})
	wantTags(t, here.get("/tags/list"), []string{"1.0"})
	for _, s := range []*server{pulls, pushes} {
		wantList(t, s.request(t, http.MethodGet, "/v2/_catalog").as(asWriter()), "repositories", []string{"org/app"})
		s.request(t, http.MethodGet, "/healthz").expect(http.StatusOK)
	}
	pushes.repository(t, "org/app").delete("/manifests/1.0").expect(http.StatusAccepted)
	here.lacks("1.0")
	there.serves("1.0", theirs.manifest)
}

// The listener for pulls takes nothing, from nobody.
func TestPushAddressIsForPushes(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	pulls, pushes := dual(t, up)
	image := pushes.repository(t, "org/app").pushes("latest")
	upload := pushes.repository(t, "org/app").startUpload()
	for _, who := range []identity{nobody, asWriter(), pulls.granted(t, asWriter(), "repository:org/app:pull,push,delete")} {
		repo := pulls.repository(t, "org/app").as(who)
		b := repo.text("a text")
		elsewhere := pulls.base() + upload.location[len(pushes.base()):]
		for _, write := range []*request{
			repo.post("/blobs/uploads/"),
			repo.post("/blobs/uploads/").query("digest", b.digest).content(b.content),
			repo.post("/blobs/uploads/").query("mount", image.digest),
			pulls.request(t, http.MethodPatch, elsewhere).as(who).content(b.content),
			pulls.request(t, http.MethodPut, elsewhere).as(who).query("digest", b.digest).content(b.content),
			pulls.request(t, http.MethodDelete, elsewhere).as(who),
			repo.putManifest("latest", imageOf(b).manifest()),
			repo.delete("/manifests/latest"),
			repo.delete("/manifests/" + image.digest),
			repo.delete("/blobs/" + repo.text("layer of pushed as latest").digest),
		} {
			write.refused("UNSUPPORTED", http.StatusMethodNotAllowed) // with Allow: see wellFormed
		}
	}
	if got := upload.received(); got != 0 {
		t.Errorf("the upload has %d bytes", got)
	}
	pulls.reader(t, "org/app").serves("latest", image)
	pulls.reader(t, "org/app").serves(image.digest, image)
}

// Only what a manifest needs is looked for upstream, so that an image that is
// built on another can be pushed here, too. It is pulled there.
func TestPushAddressTakesUpstreamLayers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	base := up.image("org/app", "base")
	pulls, pushes := dual(t, up, "UPSTREAM_TIMEOUT", "1s")
	writer := pushes.repository(t, "org/app")
	config := writer.text("config")
	writer.has(config)
	image := imageOf(config, base.layer).manifest()
	writer.tag("latest", image)
	pushes.reader(t, "org/app").serves("latest", image)
	pulls.reader(t, "org/app").serves("latest", image)
	pulls.reader(t, "org/app").servesBlob(base.layer)

	writer.putManifest("other", imageOf(config, writer.text("not pushed")).manifest()).
		refused("MANIFEST_BLOB_UNKNOWN", http.StatusBadRequest, http.StatusNotFound)
	up.down()
	writer.pushes("whole")
}

// Both listeners speak TLS with the same certificate, and each gives tokens that
// the other one takes.
func TestPushAddressToken(t *testing.T) {
	t.Parallel()
	pulls, pushes := dual(t, newUpstream(t), "ANONYMOUS_READ", "false")
	image := pushes.repository(t, "org/app").pushes("latest")
	pulls.repository(t, "org/app").serves("latest", image)
	pulls.reader(t, "org/app").get("/manifests/latest").refused("UNAUTHORIZED", http.StatusUnauthorized).demands("repository:org/app", "pull")
	pushes.reader(t, "org/app").post("/blobs/uploads/").refused("UNAUTHORIZED", http.StatusUnauthorized).demands("repository:org/app", "push")
	scope := "repository:org/app:pull,push"
	pulls.repository(t, "org/app").as(pushes.granted(t, asWriter(), scope)).serves("latest", image)
	pushes.repository(t, "org/app").as(pulls.granted(t, asWriter(), scope)).startUpload()
}
