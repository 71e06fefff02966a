package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"testing"
)

// The calls by which an upstream gives a manifest, and by which it says which
// one a tag names.
var (
	manifestGets  = []callKind{getTag, getManifest}
	manifestCalls = []callKind{headTag, getTag, headManifest, getManifest}
)

// For a while a tag is not asked for again, however often it is wanted.
func TestShadowTagIsKept(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	original := up.tagged("org/app", "latest")
	mirror := shadow(t, up) // for five minutes
	reader := mirror.reader(t, "org/app")
	reader.serves("latest", original.manifest)
	up.wasAsked(t, 1, manifestGets...)
	up.forget()
	up.tag("org/app", "latest", up.image("org/app", "newer").manifest)
	for range 3 {
		reader.serves("latest", original.manifest)
		reader.serves(original.digest, original.manifest)
	}
	reader.get("/manifests/latest").expect(http.StatusOK).lacks("Warning")
	up.wasLeftAlone(t)
}

// After that, a HEAD finds out whether the tag has moved, which registries do
// not count as a pull; what it names is fetched once.
func TestShadowTagIsChecked(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	original := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	reader := mirror.reader(t, "org/app")
	reader.serves("latest", original.manifest)

	up.forget()
	for range 3 {
		reader.get("/manifests/latest").expect(http.StatusOK).holds(original.content).lacks("Warning")
	}
	up.wasAsked(t, 3, headTag)
	up.wasAsked(t, 3)

	newer := up.image("org/app", "newer")
	up.tag("org/app", "latest", newer.manifest)
	up.forget()
	for range 3 {
		reader.get("/manifests/latest").expect(http.StatusOK).holds(newer.content).lacks("Warning")
	}
	up.wasAsked(t, 3, headTag)
	up.wasAsked(t, 1, manifestGets...)
	reader.servesAll("latest", newer)
	reader.serves(original.digest, original.manifest)

	up.tag("org/app", "latest", original.manifest) // back to what is known
	up.forget()
	reader.get("/manifests/latest").expect(http.StatusOK).holds(original.content)
	up.wasAsked(t, 0, manifestGets...)
}

// How long a tag is good without a check is for the site to say.
func TestShadowTagIsCheckedInTime(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	original := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "1s")
	reader := mirror.reader(t, "org/app")
	reader.serves("latest", original.manifest)
	newer := up.image("org/app", "newer")
	up.tag("org/app", "latest", newer.manifest)
	up.forget()
	asked := 0
	await(t, "the newer image", func() bool {
		asked++
		return reader.get("/manifests/latest").expect(http.StatusOK).get("Docker-Content-Digest") == newer.digest
	})
	if asked > 1 { // else the machine was too busy to tell
		up.wasAsked(t, 1, headTag)
	}
	up.wasAsked(t, 1, manifestGets...)
}

// Clients differ in what they say that they accept; what they get does not.
func TestShadowWhateverIsAccepted(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	one := up.image("org/app", "one")
	docker := dockerImageOf(one.config, one.layer).manifest()
	for tag, m := range map[string]manifest{
		"image": one.manifest, "docker-image": docker, "index": indexOf(one.manifest).manifest(), "docker-list": dockerListOf(docker).manifest(),
	} {
		up.keep("org/app", docker)
		up.tag("org/app", tag, m)
		for _, accept := range []string{"", "*/*", "application/json", ociImage, dockerImage, dockerList + ", " + ociIndex} {
			mirror.reader(t, "org/app").get("/manifests/"+tag).header("Accept", accept).expect(http.StatusOK).
				has("Content-Type", m.mediaType).holds(m.content)
		}
		mirror.reader(t, "org/app").serves(m.digest, m)
	}
}

// A tag that the upstream has no more is a miss; its digest is still good.
func TestShadowTagIsGone(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	reader := mirror.reader(t, "org/app")
	reader.servesAll("latest", image)
	up.untag("org/app", "latest")
	reader.lacks("latest")
	reader.serves(image.digest, image.manifest)
	up.fails(answers(http.StatusInternalServerError)) // which does not bring it back
	reader.get("/manifests/latest").expect(http.StatusNotFound, http.StatusServiceUnavailable)
	up.recovers()
	up.tag("org/app", "latest", image.manifest)
	reader.servesAll("latest", image)
}

// troubles are what keeps an upstream from answering. It recovers from most.
var troubles = []struct {
	name    string
	trouble func(u *upstream)
}{
	{"is down", (*upstream).down},
	{"hangs", func(u *upstream) { u.fails(hangs) }},
	{"hangs up", func(u *upstream) { u.fails(hangsUp) }},
	{"has had too many requests", func(u *upstream) { u.fails(answers(http.StatusTooManyRequests)) }},
	{"says when to come again", func(u *upstream) { u.fails(answers(http.StatusTooManyRequests, "Retry-After", "3600")) }},
	{"has a fault", func(u *upstream) { u.fails(answers(http.StatusInternalServerError)) }},
	{"has a bad gateway", func(u *upstream) { u.fails(answers(http.StatusBadGateway)) }},
	{"is unavailable", func(u *upstream) { u.fails(answers(http.StatusServiceUnavailable)) }},
}

// While the upstream does not answer, what it last said is served, with a
// warning for the client and a line in the log for whoever runs the registry.
func TestShadowTagOfAnUpstreamInTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range troubles {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0", "UPSTREAM_TIMEOUT", "1s")
			reader := mirror.reader(t, "org/app")
			reader.servesAll("latest", image)

			tt.trouble(up)
			reader.get("/manifests/latest").expect(http.StatusOK).has("Docker-Content-Digest", image.digest).holds(image.content).warns()
			reader.head("/manifests/latest").expect(http.StatusOK).has("Docker-Content-Digest", image.digest).warns()
			reader.serves(image.digest, image.manifest)
			reader.servesBlob(image.config)
			reader.servesBlob(image.layer)
			mirror.logs(t, "level=WARN", "docker.io")
		})
	}
}

// Once it answers again, so does the registry, without a warning.
func TestShadowTagOfAnUpstreamThatRecovers(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0")
	reader := mirror.reader(t, "org/app")
	reader.serves("latest", image.manifest)
	up.fails(answers(http.StatusInternalServerError))
	newer := up.image("org/app", "newer")
	up.tag("org/app", "latest", newer.manifest)
	reader.get("/manifests/latest").expect(http.StatusOK).holds(image.content).warns()
	up.recovers()
	await(t, "the newer image", func() bool {
		return reader.get("/manifests/latest").expect(http.StatusOK).get("Docker-Content-Digest") == newer.digest
	})
	reader.get("/manifests/latest").expect(http.StatusOK).holds(newer.content).lacks("Warning")
}

// With nothing to serve, the answer is that the upstream is unavailable: no miss,
// since nobody knows, but an error on which clients go on to their next mirror.
func TestShadowOfAnUpstreamInTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range troubles {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "1s")
			tt.trouble(up)
			reader := mirror.reader(t, "org/app")
			reader.get("/manifests/latest").unavailable()
			reader.head("/manifests/latest").expect(http.StatusServiceUnavailable)
			reader.get("/manifests/" + image.digest).unavailable()
			reader.get("/blobs/" + image.layer.digest).unavailable()
			reader.head("/blobs/" + image.layer.digest).expect(http.StatusServiceUnavailable)
			mirror.request(t, http.MethodGet, "/readyz").expect(http.StatusOK) // for pushes, and for what is here
			mirror.keepsNothing(t)
			mirror.logs(t, "docker.io", "org/app")
		})
	}
}

// When the upstream can be reached again, nothing of the trouble is left.
func TestShadowAfterTrouble(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	image := up.tagged("org/app", "latest")
	mirror := shadow(t, up, "UPSTREAM_TIMEOUT", "2s")
	reader := mirror.reader(t, "org/app")
	for _, trouble := range []fault{hangsUp, answers(http.StatusServiceUnavailable), answers(http.StatusTooManyRequests, "Retry-After", "1")} {
		up.fails(trouble)
		reader.get("/manifests/latest").unavailable()
	}
	up.recovers()
	await(t, "the upstream to be asked again", func() bool {
		return reader.get("/manifests/latest").expect(http.StatusOK, http.StatusServiceUnavailable).status == http.StatusOK
	})
	reader.servesAll("latest", image)
}

// An upstream that says when to come again is not asked before: it counts what
// it refuses, too.
func TestShadowRespectsRetryAfter(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"3600", "Fri, 31 Dec 2100 23:59:59 GMT"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			image := up.tagged("org/app", "latest")
			other := up.tagged("org/app", "other")
			mirror := shadow(t, up, "UPSTREAM_TAG_TTL", "0", "UPSTREAM_TIMEOUT", "1s")
			reader := mirror.reader(t, "org/app")
			reader.servesAll("latest", image)
			up.fails(answers(http.StatusTooManyRequests, "Retry-After", when))
			up.forget()
			reader.get("/manifests/latest").expect(http.StatusOK).holds(image.content).warns()
			up.wasAsked(t, 1)
			for range 2 {
				reader.get("/manifests/latest").expect(http.StatusOK).holds(image.content).warns()
				reader.get("/manifests/other").unavailable()
				reader.get("/blobs/" + other.layer.digest).unavailable()
			}
			up.wasAsked(t, 1)
		})
	}
}

// Clients that want the same tag at the same time cost one request of the
// upstream, besides that for a token.
func TestShadowTagIsWantedByMany(t *testing.T) {
	t.Parallel()
	const clients = 50
	for _, demand := range []string{"", "Bearer"} {
		t.Run("an upstream that demands "+demand, func(t *testing.T) {
			t.Parallel()
			up, release, sent := newUpstream(t), make(chan struct{}), make(chan struct{}, 2*clients)
			image := up.tagged("org/app", "latest")
			up.demands(demand, "", "")
			up.fails(holds(release), manifestCalls...)
			mirror := shadow(t, up)
			watched := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) { sent <- struct{}{} },
			})
			go func() {
				for range clients {
					<-sent
				}
				close(release)
			}()
			together(t, clients, func(int) error {
				q := mirror.reader(t, "org/app").get("/manifests/latest")
				q.context = watched
				a, err := q.check(http.StatusOK)
				if err == nil && string(a.body) != string(image.content) {
					err = fmt.Errorf("%s: %s, want the image", a.request, a.summary())
				}
				return err
			})
			up.wasAsked(t, 1, manifestCalls...)
			if got := up.count(askToken); got > 1 {
				t.Errorf("the upstream was asked for %d tokens", got)
			}
		})
	}
}
