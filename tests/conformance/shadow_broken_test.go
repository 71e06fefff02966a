package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A transfer that breaks goes on where it broke.
func TestShadowBlobIsResumed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule  string
		fault fault
		parts int // that the upstream is asked for; -1: as many as it takes
	}{
		{"cut once", cutsAfter(firstBytes).times(1), 1},
		{"cut three times", cutsAfter(layerSize / 5).times(3), 3},
		{"stalled", holdsAfter(firstBytes, nil).times(1), 1},
		{"cut by an upstream that knows no parts", fault(ignoresRange).with(cutsAfter(firstBytes).times(1)), -1},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			up.fails(tt.fault, getBlob, getPart)
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "1s")
			reader := mirror.reader(t, "org/app")
			reader.get("/blobs/" + image.layer.digest).expect(http.StatusOK).holds(image.layer.content)
			if tt.parts >= 0 {
				up.wasAsked(t, tt.parts, getPart)
			}
			for _, c := range up.asked(getPart) {
				if asked := c.header.Get("Range"); !strings.HasPrefix(asked, "bytes=") || strings.HasPrefix(asked, "bytes=0-") {
					t.Errorf("the upstream was asked for %q, want the rest of the blob", asked)
				}
			}
			up.forget()
			reader.servesBlob(image.layer)
			up.wasLeftAlone(t)
		})
	}
}

// wrongBlobs are ways to answer with what is not the blob.
var wrongBlobs = []struct {
	name  string
	fault fault
}{
	{"wrong bytes", scrambles()},
	{"nothing", sends(nil)},
	{"less", sends(bulkOf("less", layerSize/2).content)},
	{"more", sends(bulkOf("more", layerSize*2).content)},
	{"a page for people", showsPage},
	{"a wrong end after a right beginning", alters(func(a *httptest.ResponseRecorder) {
		a.Body.Bytes()[a.Body.Len()-1] ^= 0xff
	})},
	{"a wrong part after a cut", func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		if r.Header.Get("Range") == "" {
			cutsAfter(firstBytes)(w, r, honest)
			return
		}
		scrambles()(w, r, honest)
	}},
	{"another part than was asked for", func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		if r.Header.Get("Range") == "" {
			cutsAfter(firstBytes)(w, r, honest)
			return
		}
		r.Header.Set("Range", "bytes=100-")
		honest(w, r)
	}},
	{"only the beginning", func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		if r.Header.Get("Range") != "" {
			hangsUp(w, r, honest)
		}
		cutsAfter(firstBytes)(w, r, honest)
	}},
	{"never the end", neverEnds(http.StatusOK, "application/octet-stream", "")},
}

// What is not the blob never ends as a good answer, also where only a part was
// asked for that may be right, and is not kept.
func TestShadowWrongBlob(t *testing.T) {
	t.Parallel()
	for _, tt := range wrongBlobs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
			reader := mirror.reader(t, "org/app")
			path := "/blobs/" + image.layer.digest
			up.fails(tt.fault, getBlob, getPart)
			parts := []string{"", "bytes=0-99", "bytes=150000-150099", "bytes=150000-", "bytes=-100"}
			together(t, len(parts), func(n int) error {
				q := reader.get(path)
				if parts[n] != "" {
					q.header("Range", parts[n])
				}
				if a, err := q.attempt(); err == nil && a.status < 300 {
					return fmt.Errorf("%s %s: %s with %d bytes", a.request, parts[n], a.response.Status, len(a.body))
				}
				return nil
			})
			mirror.keepsNothing(t)

			up.recovers()
			up.forget()
			await(t, "the last wrong transfer to end", func() bool { // for whom a part did not exist has not waited
				a, err := reader.get(path).attempt()
				return err == nil && a.status == http.StatusOK
			})
			reader.get(path).expect(http.StatusOK).holds(image.layer.content)
			if up.count(getBlob) == 0 {
				t.Error("the upstream was not asked again, so that something was kept")
			}
		})
	}
}

// Everybody who shares a transfer learns that it was wrong.
func TestShadowWrongBlobIsWantedByMany(t *testing.T) {
	t.Parallel()
	up, release := newUpstream(t), make(chan struct{})
	image := up.tagged("org/app", "latest")
	up.fails(holdsAfter(firstBytes, release).with(scrambles()), getBlob, getPart)
	mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
	const clients = 8
	downloads := make([]*download, clients)
	together(t, clients, func(n int) (err error) {
		downloads[n], err = mirror.reader(t, "org/app").get("/blobs/" + image.layer.digest).begin()
		return err
	})
	close(release)
	together(t, clients, func(n int) error {
		defer downloads[n].leave()
		if a, err := readAnswer(t, mirror, downloads[n].response); err == nil {
			t.Errorf("%s: %s with %d bytes", a.request, a.response.Status, len(a.body))
		}
		return nil
	})
	mirror.keepsNothing(t)
}

// wrongManifests are ways to answer with what is not the manifest.
var wrongManifests = []struct {
	name  string
	fault fault
}{
	{"wrong bytes", scrambles()},
	{"nothing", sends(nil)},
	{"another manifest", sends(imageOf(blobOf([]byte("another"))).manifest().content)},
	{"a page for people", showsPage},
	{"more than 4 MiB", sends([]byte(`{"schemaVersion": 2, "padding": "` + strings.Repeat("x", maxManifest) + `"}`))},
	{"no end", neverEnds(http.StatusOK, ociImage, `{"schemaVersion": 2, "padding": "`)},
	{"a cut body", cutsAfter(100)},
	{"redirects in a circle", leadsAstray},
	{"an endless error", neverEnds(http.StatusInternalServerError, "application/json", `{"errors": [{"code": "`)},
}

// What is not the manifest is an error that says so, and is not kept.
func TestShadowWrongManifest(t *testing.T) {
	t.Parallel()
	for _, tt := range wrongManifests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
			reader := mirror.reader(t, "org/app")
			up.fails(tt.fault, manifestGets...)
			for _, reference := range []string{"latest", image.digest} {
				for range 2 {
					up.forget()
					reader.get("/manifests/"+reference).refused("UNAVAILABLE", http.StatusServiceUnavailable, http.StatusBadGateway)
					if up.count(manifestGets...) == 0 {
						t.Errorf("the upstream was not asked for %s, so that something was kept", reference)
					}
				}
			}
			mirror.keepsNothing(t)

			up.recovers()
			await(t, "the upstream to be trusted again", func() bool {
				return reader.get("/manifests/latest").expect(http.StatusOK, http.StatusServiceUnavailable).status == http.StatusOK
			})
			reader.servesAll("latest", image)
		})
	}
}

// A header that contradicts the body says that something is wrong with one of
// them.
func TestShadowWrongDigest(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	up.fails(says("Docker-Content-Digest", sha256Of([]byte("another"))), manifestCalls...)
	mirror := shadow(t, up)
	mirror.reader(t, "org/app").get("/manifests/latest").refused("UNAVAILABLE", http.StatusServiceUnavailable, http.StatusBadGateway)
	mirror.keepsNothing(t)
	up.recovers()
	mirror.reader(t, "org/app").servesAll("latest", image)
}

// What is wrong takes the place of nothing that is right.
func TestShadowWrongManifestAfterRight(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	reader := mirror.reader(t, "org/app")
	reader.serves("latest", image.manifest)
	up.tag("org/app", "latest", up.image("org/app", "newer").manifest)
	up.fails(scrambles(), manifestGets...)
	a := reader.get("/manifests/latest").expect(http.StatusOK, http.StatusServiceUnavailable, http.StatusBadGateway)
	if a.status == http.StatusOK {
		a.holds(image.content).warns()
	}
	reader.serves(image.digest, image.manifest)
}

// Registries differ in what they say beside the content; what can be done
// without is not missed.
func TestShadowOfATerseUpstream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule  string
		fault fault
		calls []callKind
	}{
		{"no digest", says("Docker-Content-Digest", ""), manifestCalls},
		{"no length", says("Content-Length", ""), manifestCalls},
		{"no version of the API", says("Docker-Distribution-Api-Version", ""), manifestCalls},
		{"a type with a parameter", says("Content-Type", ociImage+"; charset=utf-8"), manifestCalls},
		{"no HEAD", answers(http.StatusMethodNotAllowed), []callKind{headTag, headManifest, headBlob}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			up.fails(tt.fault, tt.calls...)
			mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
			reader := mirror.reader(t, "org/app")
			for range 2 {
				reader.get("/manifests/latest").expect(http.StatusOK).has("Content-Type", ociImage).
					has("Docker-Content-Digest", image.digest).holds(image.content)
				reader.get("/blobs/" + image.layer.digest).expect(http.StatusOK).holds(image.layer.content)
			}
			newer := up.image("org/app", "newer")
			up.tag("org/app", "latest", newer.manifest)
			reader.get("/manifests/latest").expect(http.StatusOK).holds(newer.content)
		})
	}
}
