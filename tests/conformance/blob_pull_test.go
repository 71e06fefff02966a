package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// HEAD is how clients learn of what they then GET: it has the same headers.
func TestHeadIsGetWithoutBody(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image := repo.image("image")
	repo.tag("latest", image)
	paths := []string{
		"/manifests/latest", "/manifests/" + image.digest, "/blobs/" + repo.text("layer of image").digest,
		"/manifests/no-such-tag", "/blobs/" + repo.text("what is not there").digest,
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			any := []int{http.StatusOK, http.StatusNotFound}
			head, get := repo.in(t).head(path).expect(any...), repo.in(t).get(path).expect(any...)
			if head.status != get.status || len(head.body) > 0 {
				t.Errorf("HEAD: %s, GET: %s", head.summary(), get.summary())
			}
			for _, own := range []string{"Date", "X-Request-Id"} { // each answer's own
				head.response.Header.Del(own)
				get.response.Header.Del(own)
			}
			if h, g := head.response.Header, get.response.Header; !maps.EqualFunc(h, g, equalValues) {
				t.Errorf("the headers differ\nHEAD: %v\nGET:  %v", h, g)
			}
			if get.get("Content-Length") != fmt.Sprint(len(get.body)) || get.get("Content-Type") == "" {
				t.Errorf("a body of %d bytes has Content-Length %q and Content-Type %q",
					len(get.body), get.get("Content-Length"), get.get("Content-Type"))
			}
		})
	}
}

func equalValues(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// Clients resume broken pulls by Range.
func TestBlobInParts(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 2_048)
	repo.has(b)
	path := "/blobs/" + b.digest
	tests := []struct {
		ask      string
		from, to int // of the answer; none when to is 0
	}{
		{"bytes=500-1499", 500, 1500},
		{"bytes=500-", 500, 2048},
		{"bytes=-500", 1548, 2048},
		{"bytes=2000-5000", 2000, 2048},
		{"bytes=0-0", 0, 1},
		{"bytes=2047-2047", 2047, 2048},
		{"bytes=0-", 0, 2048},
		{"bytes=-5000", 0, 2048},
		{"bytes=2048-", 0, 0},
		{"bytes=5000-10000", 0, 0},
		{"bytes=500-0", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.ask, func(t *testing.T) {
			q := repo.in(t).get(path).header("Range", tt.ask)
			if tt.to == 0 {
				q.expect(http.StatusRequestedRangeNotSatisfiable).has("Content-Range", "bytes */2048")
				return
			}
			q.expect(http.StatusPartialContent).holds(b.content[tt.from:tt.to]).
				has("Content-Range", fmt.Sprintf("bytes %d-%d/2048", tt.from, tt.to-1))
		})
	}
	repo.get(path).expect(http.StatusOK).holds(b.content).has("Accept-Ranges", "bytes")
	many := "bytes=" + strings.Repeat("0-0,", 1_000) + "1-1" // which would be a flood to the store
	repo.get(path).header("Range", many).expect(http.StatusOK).holds(b.content)
}

// A client that has a blob already is not sent it again, and one that has a
// part of another version is sent the whole.
func TestConditionalPull(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 2_048)
	repo.has(b)
	path := "/blobs/" + b.digest
	tag := repo.get(path).expect(http.StatusOK).get("ETag")
	if tag == "" {
		t.Fatal("a blob has no ETag")
	}
	for _, condition := range []string{tag, `"another", ` + tag, "*"} {
		a := repo.get(path).header("If-None-Match", condition).expect(http.StatusNotModified)
		if a.has("ETag", tag); len(a.body) > 0 {
			t.Errorf("If-None-Match: %s is answered with %d bytes", condition, len(a.body))
		}
		repo.head(path).header("If-None-Match", condition).expect(http.StatusNotModified)
	}
	repo.get(path).header("If-None-Match", `"another"`).expect(http.StatusOK).holds(b.content)
	repo.get(path).header("Range", "bytes=1000-").header("If-Range", tag).
		expect(http.StatusPartialContent).holds(b.content[1_000:])
	repo.get(path).header("Range", "bytes=1000-").header("If-Range", `"another"`).
		expect(http.StatusOK).holds(b.content)
}

// What is not there is 404, so that clients go on to their next mirror; never
// 401, however they ask.
func TestMiss(t *testing.T) {
	t.Parallel()
	there, nowhere := newRepository(t, public), newRepository(t, public)
	there.tag("latest", there.image("image"))
	digest := there.text("what is not there").digest
	for _, repo := range []*repository{there, nowhere} {
		for _, who := range []identity{nobody, basic("docker-hub-user", "docker-hub-password"), asWriter()} {
			asked := repo.as(who)
			asked.lacks("no-such-tag")
			asked.lacks(digest)
			asked.lacks(there.text("what is not there").by512().digest)
			asked.lacksBlob(digest)
		}
	}
	nowhere.get("/tags/list").refused("NAME_UNKNOWN", http.StatusNotFound)
}
