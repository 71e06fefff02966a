package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// repository is a repository of a server, as one user sees it.
type repository struct {
	t      *testing.T
	server *server
	name   string
	ns     string // the registry that the name is of, as a parameter of requests; may be empty
	who    identity
}

// newRepository gives the test a repository that nobody has used, and a writer
// who logs in by token.
func newRepository(t *testing.T, s *server) *repository {
	t.Helper()
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	return s.repository(t, fmt.Sprintf("conformance/%.100s-%d", name, s.repositories.Add(1)))
}

// repository is the writer's repository of that name.
func (s *server) repository(t *testing.T, name string) *repository {
	return &repository{t: t, server: s, name: name, who: &login{user: writerName, password: writerPassword}}
}

// as is the same repository, seen by somebody else.
func (r *repository) as(who identity) *repository {
	other := *r
	other.who = who
	return &other
}

// in is the same repository for a part of the test.
func (r *repository) in(t *testing.T) *repository {
	other := *r
	other.t = t
	return &other
}

func (r *repository) request(method, path string) *request {
	q := r.server.request(r.t, method, "/v2/"+r.name+path).as(r.who)
	if r.ns != "" {
		q.query("ns", r.ns)
	}
	return q
}

func (r *repository) get(path string) *request  { return r.request(http.MethodGet, path) }
func (r *repository) head(path string) *request { return r.request(http.MethodHead, path) }
func (r *repository) post(path string) *request { return r.request(http.MethodPost, path) }
func (r *repository) put(path string) *request  { return r.request(http.MethodPut, path) }

func (r *repository) delete(path string) *request { return r.request(http.MethodDelete, path) }

// has pushes blobs, for tests about something else.
func (r *repository) has(blobs ...blob) {
	r.t.Helper()
	for _, b := range blobs {
		r.post("/blobs/uploads/").query("digest", b.digest).content(b.content).expect(http.StatusCreated)
	}
}

// putManifest is the request that pushes a manifest under a tag or digest.
func (r *repository) putManifest(reference string, m manifest) *request {
	return r.put("/manifests/"+reference).header("Content-Type", m.mediaType).content(m.content)
}

// tag pushes a manifest under a tag.
func (r *repository) tag(tag string, m manifest) *answer {
	r.t.Helper()
	return r.putManifest(tag, m).expect(http.StatusCreated).has("Docker-Content-Digest", m.digest)
}

// keep pushes a manifest under its digest.
func (r *repository) keep(m manifest) *answer {
	r.t.Helper()
	return r.putManifest(m.digest, m).expect(http.StatusCreated).has("Docker-Content-Digest", m.digest)
}

// image pushes the blobs of a small image of its own and returns the image,
// which is not pushed yet.
func (r *repository) image(label string) manifest {
	r.t.Helper()
	return r.imageDocument(label).manifest()
}

func (r *repository) imageDocument(label string) document {
	r.t.Helper()
	config, layer := r.text("config of "+label), r.text("layer of "+label)
	r.has(config, layer)
	return imageOf(config, layer)
}

// serves asserts that a reference is answered with the manifest, whole.
func (r *repository) serves(reference string, m manifest) {
	r.t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := r.request(method, "/manifests/"+reference).expect(http.StatusOK)
		a.has("Content-Type", m.mediaType).has("Docker-Content-Digest", m.digest)
		a.has("Content-Length", strconv.Itoa(len(m.content)))
		if method == http.MethodGet {
			a.holds(m.content)
		}
	}
}

// servesBlob asserts that the repository answers a blob, whole.
func (r *repository) servesBlob(b blob) {
	r.t.Helper()
	path := "/blobs/" + b.digest
	r.head(path).expect(http.StatusOK).has("Docker-Content-Digest", b.digest).
		has("Content-Length", strconv.Itoa(len(b.content)))
	r.get(path).expect(http.StatusOK).has("Docker-Content-Digest", b.digest).holds(b.content)
}

// lacks asserts that there is no manifest of that reference.
func (r *repository) lacks(reference string) {
	r.t.Helper()
	r.head("/manifests/" + reference).expect(http.StatusNotFound)
	r.get("/manifests/"+reference).refused("MANIFEST_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
}

// lacksBlob asserts that there is no blob of that digest.
func (r *repository) lacksBlob(digest string) {
	r.t.Helper()
	r.head("/blobs/" + digest).expect(http.StatusNotFound)
	r.get("/blobs/"+digest).refused("BLOB_UNKNOWN|NAME_UNKNOWN", http.StatusNotFound)
}

// upload is a blob on its way in, as its client sees it.
type upload struct {
	*repository
	location string
}

// startUpload begins an upload.
func (r *repository) startUpload() *upload {
	r.t.Helper()
	return r.uploadAt(r.post("/blobs/uploads/").expect(http.StatusAccepted))
}

// uploadAt is the upload that an answer points to.
func (r *repository) uploadAt(a *answer) *upload {
	r.t.Helper()
	return &upload{repository: r, location: a.location()}
}

func (u *upload) request(method string) *request {
	return u.server.request(u.t, method, u.location).as(u.who)
}

// patch is the request that adds content, which it announces as an octet
// stream; what is sent says stream, content or chunk.
func (u *upload) patch() *request {
	return u.request(http.MethodPatch).header("Content-Type", "application/octet-stream")
}

// commit is the request that ends the upload as a blob.
func (u *upload) commit(digest string) *request {
	return u.request(http.MethodPut).query("digest", digest).header("Content-Type", "application/octet-stream")
}

// chunk is content that says where it belongs: whole[from:to].
func (q *request) chunk(whole []byte, from, to int) *request {
	return q.header("Content-Range", fmt.Sprintf("%d-%d", from, to-1)).content(whole[from:to])
}

// follow asserts that the upload has that many bytes, by an answer to a
// request of it, and goes on where the answer says.
func (u *upload) follow(a *answer, received int) {
	u.t.Helper()
	a.has("Range", fmt.Sprintf("0-%d", received-1))
	u.location = a.location()
}

// received asks how much of the content the registry has, and goes on where
// the answer says.
func (u *upload) received() int {
	u.t.Helper()
	a := u.request(http.MethodGet).expect(http.StatusNoContent)
	u.location = a.location()
	end, found := strings.CutPrefix(a.get("Range"), "0-")
	last, err := strconv.Atoi(end)
	if !found || err != nil {
		u.t.Fatalf("%s: the upload's Range is %q, want 0-<last byte>", a.request, a.get("Range"))
	}
	if last <= 0 {
		return 0 // "0-0" is also what an upload without content has
	}
	return last + 1
}
