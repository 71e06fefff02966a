package conformance

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// In path mode, namespaces are registries of their own: they share no content,
// no uploads and no tags, under whatever name.
func TestShadowNamespacesAreApart(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"NAMESPACING": "path"})
	docker, quay := s.repository(t, "docker.io/org/app"), s.repository(t, "quay.io/org/app")
	image := docker.pushes("latest")
	layer := docker.text("layer of pushed as latest")
	docker.servesBlob(layer)

	t.Run("tags and manifests", func(t *testing.T) {
		quay.in(t).lacks("latest")
		quay.in(t).lacks(image.digest)
		quay.in(t).get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
	})
	t.Run("blobs", func(t *testing.T) { quay.in(t).lacksBlob(layer.digest) })
	t.Run("mounts", func(t *testing.T) {
		for _, from := range []string{docker.name, ""} {
			q := quay.in(t).post("/blobs/uploads/").query("mount", layer.digest)
			if from != "" {
				q.query("from", from)
			}
			q.expect(http.StatusAccepted)
		}
		docker.in(t).post("/blobs/uploads/").query("mount", layer.digest).query("from", "docker.io/org/app").expect(http.StatusCreated)
	})
	t.Run("what a manifest needs", func(t *testing.T) {
		quay.in(t).putManifest("latest", image).refused("MANIFEST_BLOB_UNKNOWN", http.StatusBadRequest, http.StatusNotFound)
	})
	t.Run("uploads", func(t *testing.T) {
		upload := docker.in(t).startUpload()
		elsewhere := strings.Replace(upload.location, docker.name, quay.name, 1)
		s.request(t, http.MethodGet, elsewhere).as(asWriter()).refused("BLOB_UPLOAD_UNKNOWN", http.StatusNotFound)
		s.request(t, http.MethodPatch, elsewhere).as(asWriter()).content(layer.content).refused("BLOB_UPLOAD_UNKNOWN", http.StatusNotFound)
		if got := upload.received(); got != 0 {
			t.Errorf("the upload has %d bytes of another one", got)
		}
	})
	t.Run("deletions", func(t *testing.T) {
		other := quay.in(t).pushes("latest")
		quay.in(t).delete("/manifests/" + other.digest).expect(http.StatusAccepted)
		docker.in(t).serves("latest", image)
		docker.in(t).servesBlob(layer)
	})
}

// Nor do namespaces share what was fetched: that one upstream gave a blob says
// nothing of whether another one would.
func TestShadowUpstreamsAreApart(t *testing.T) {
	t.Parallel()
	docker, quay := newUpstream(t), newUpstream(t)
	image := docker.tagged("org/app", "latest")
	mirror := shadowAll(t, upstreams{"docker.io": docker, "quay.io": quay}, "NAMESPACING", "path")
	mirror.reader(t, "docker.io/org/app").servesAll("latest", image)
	other := mirror.reader(t, "quay.io/org/app")
	other.lacks("latest")
	other.lacks(image.digest)
	other.lacksBlob(image.layer.digest)
}

// A namespace is a key to look an upstream up by, and never an address: else
// anybody could have the registry connect to its neighbours.
func TestShadowUnknownNamespaceIsNotDialled(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			up, neighbour := newUpstream(t), newUpstream(t)
			image := neighbour.tagged("org/app", "latest")
			mirror := shadow(t, up, "NAMESPACING", mode)
			_, port, err := net.SplitHostPort(neighbour.address())
			if err != nil {
				t.Fatal(err)
			}
			for _, ns := range []string{
				neighbour.address(), "localhost:" + port, "169.254.169.254", "127.0.0.1", "localhost", "unknown.example", "docker.io:" + port,
			} {
				repo := mirror.spelled(t, spelling{"org/app", ns}).as(nobody)
				repo.lacks("latest")
				repo.lacks(image.digest)
				repo.lacksBlob(image.layer.digest)
				repo.get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
				wantReferrers(t, repo.get("/referrers/"+image.digest))
			}
			mirror.reader(t, "127.0.0.1/org/app").lacks("latest")
			mirror.reader(t, "169.254.169.254/org/app").lacks("latest")
			if got := neighbour.connections.Load(); got != 0 {
				t.Errorf("the registry connected %d times to an address that a client had named", got)
			}
		})
	}
}

// A malformed namespace is bad input, whatever it is asked for.
func TestShadowMalformedNamespace(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	for _, mode := range modes {
		mirror := shadow(t, up, "NAMESPACING", mode)
		for _, ns := range []string{
			"..", "a/../b", "quay.io/org", "https://quay.io", "quay.io:", "quay.io:port", "quay.io:123456", "a b", "_local",
			".hidden.example", "user@quay.io", "quay.io\n", "-.example", "%2e%2e", strings.Repeat("a", 300) + ".example",
		} {
			t.Run(mode+"/"+url.QueryEscape(ns)[:min(20, len(url.QueryEscape(ns)))], func(t *testing.T) {
				repo := mirror.spelled(t, spelling{"org/app", ns}).as(asWriter())
				repo.get("/manifests/latest").refused("NAME_INVALID", http.StatusBadRequest)
				repo.head("/manifests/latest").expect(http.StatusBadRequest)
				repo.get("/blobs/"+repo.text("a text").digest).refused("NAME_INVALID", http.StatusBadRequest)
				repo.get("/tags/list").refused("NAME_INVALID", http.StatusBadRequest)
				repo.post("/blobs/uploads/").refused("NAME_INVALID", http.StatusBadRequest)
				repo.putManifest("latest", imageOf(repo.text("config")).manifest()).refused("NAME_INVALID", http.StatusBadRequest)
			})
		}
		mirror.keepsNothing(t)
	}
	up.wasLeftAlone(t)
}

// Who wants no upstreams has none.
func TestShadowOfNothing(t *testing.T) {
	t.Parallel()
	s := start(t, map[string]string{"UPSTREAMS": "none"})
	for _, name := range []spelling{{"alpine", ""}, {"quay.io/org/app", ""}, {"org/app", "quay.io"}} {
		repo := s.spelled(t, name)
		repo.as(nobody).lacks("latest")
		repo.as(nobody).serves("mine", repo.pushes("mine"))
	}
}
