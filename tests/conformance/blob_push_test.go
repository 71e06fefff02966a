package conformance

import (
	"net/http"
	"testing"
)

// way is one of the ways in which clients push a blob. It returns the request
// that ends the push.
type way struct {
	name string
	push func(r *repository, content []byte, digest string) *request
}

// ways are all of them ("Pushing Blobs" in the specification).
func ways() []way {
	return []way{
		{"one POST", func(r *repository, content []byte, digest string) *request {
			return r.post("/blobs/uploads/").query("digest", digest).content(content)
		}},
		{"one POST of unknown length", func(r *repository, content []byte, digest string) *request {
			return r.post("/blobs/uploads/").query("digest", digest).stream(content)
		}},
		{"POST and PUT", func(r *repository, content []byte, digest string) *request {
			return r.startUpload().commit(digest).content(content)
		}},
		{"POST and PUT of unknown length", func(r *repository, content []byte, digest string) *request {
			return r.startUpload().commit(digest).stream(content)
		}},
		{"POST, a streamed PATCH and PUT", func(r *repository, content []byte, digest string) *request {
			u := r.startUpload()
			u.location = u.patch().stream(content).expect(http.StatusAccepted).location()
			return u.commit(digest)
		}},
		{"POST, chunks and PUT", func(r *repository, content []byte, digest string) *request {
			return r.inChunks(content, len(content)).commit(digest)
		}},
		{"POST, chunks and the last one with PUT", func(r *repository, content []byte, digest string) *request {
			from := len(content) - len(content)/4
			u := r.inChunks(content, from)
			if from == len(content) {
				return u.commit(digest)
			}
			return u.commit(digest).chunk(content, from, len(content))
		}},
	}
}

// inChunks uploads the content before an end in three chunks.
func (r *repository) inChunks(content []byte, end int) *upload {
	r.t.Helper()
	u := r.startUpload()
	for from, to := 0, 0; from < end; from = to {
		to = min(end, from+end/3+1)
		u.follow(u.patch().chunk(content, from, to).expect(http.StatusAccepted), to)
	}
	return u
}

// Whatever way a blob came, it is there when the push has ended.
func TestBlobIsPushed(t *testing.T) {
	t.Parallel()
	contents := []struct {
		name string
		make func(r *repository) blob
	}{
		{"a text", func(r *repository) blob { return r.text("a text") }},
		{"a text by sha512", func(r *repository) blob { return r.text("a text").by512() }},
		{"nothing", func(*repository) blob { return blobOf(nil) }},
		{"nothing by sha512", func(*repository) blob { return blobOf(nil).by512() }},
		{"an empty JSON object", func(*repository) blob { return blobOf([]byte("{}")) }},
		{"some of everything", func(r *repository) blob { return r.bulk("bulk", 300_000) }},
		{"some of everything by sha512", func(r *repository) blob { return r.bulk("bulk", 300_000).by512() }},
	}
	for _, way := range ways() {
		for _, kind := range contents {
			t.Run(way.name+"/"+kind.name, func(t *testing.T) {
				repo := newRepository(t, public)
				b := kind.make(repo)
				a := way.push(repo, b.content, b.digest).expect(http.StatusCreated).has("Docker-Content-Digest", b.digest)
				public.request(t, http.MethodGet, a.location()).as(nobody).expect(http.StatusOK).holds(b.content)
				repo.servesBlob(b)
			})
		}
	}
}

// The algorithm may be said at the beginning, which saves the registry from
// reading the content again ("end-4c").
func TestBlobWithAlgorithmSaidBefore(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	for _, way := range []string{"streamed", "whole"} {
		b := repo.bulk(way, 100_000).by512()
		u := repo.uploadAt(repo.post("/blobs/uploads/").query("digest-algorithm", "sha512").expect(http.StatusAccepted))
		if way == "streamed" {
			u.follow(u.patch().stream(b.content).expect(http.StatusAccepted), len(b.content))
			u.commit(b.digest).expect(http.StatusCreated)
		} else {
			u.commit(b.digest).content(b.content).expect(http.StatusCreated)
		}
		repo.servesBlob(b)
	}
	repo.post("/blobs/uploads/").query("digest-algorithm", "md5").refused("DIGEST_INVALID", http.StatusBadRequest)
}

// The same content may be addressed by both of its digests.
func TestBlobUnderTwoDigests(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.text("a text")
	repo.has(b, b.by512())
	repo.servesBlob(b)
	repo.servesBlob(b.by512())
}

// A layer of a usual size streams in and out.
func TestLargeBlob(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 20<<20)
	u := repo.startUpload()
	u.follow(u.patch().stream(b.content).expect(http.StatusAccepted), len(b.content))
	u.commit(b.digest).expect(http.StatusCreated)
	repo.servesBlob(b)
}

// Pushing what is there already is no fault.
func TestBlobIsPushedAgain(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.text("a text")
	for _, way := range ways() {
		way.push(repo, b.content, b.digest).expect(http.StatusCreated)
		repo.servesBlob(b)
	}
}

// Content that is not what its digest says is not kept, by whatever way and
// algorithm.
func TestBlobWithWrongDigest(t *testing.T) {
	t.Parallel()
	for _, way := range ways() {
		t.Run(way.name, func(t *testing.T) {
			repo := newRepository(t, public)
			promised, sent := repo.text("what was promised"), repo.text("what was sent")
			for _, digest := range []string{promised.digest, promised.by512().digest} {
				way.push(repo, sent.content, digest).refused("DIGEST_INVALID", http.StatusBadRequest)
				repo.lacksBlob(digest)
			}
			repo.lacksBlob(sent.digest)
			repo.lacksBlob(sent.by512().digest)
		})
	}
}

// An upload is none the worse for a refused PUT: it has what it had before,
// and ends well with the right digest.
func TestUploadOutlivesRefusedPut(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 10_000)
	half := len(b.content) / 2
	commit := func(digest string, rest []byte) func(u *upload) *request {
		return func(u *upload) *request { return u.commit(digest).content(rest) }
	}
	tests := []struct {
		rule   string
		commit func(u *upload) *request
		codes  string
	}{
		{"a wrong digest", commit(sha256Of(nil), b.content[half:]), "DIGEST_INVALID"},
		{"the digest of more content", commit(b.digest, nil), "DIGEST_INVALID"},
		{"a wrong digest of another algorithm", commit(sha512Of(nil), b.content[half:]), "DIGEST_INVALID"},
		{"wrong content", commit(b.digest, b.content[:half]), "DIGEST_INVALID"},
		{"a malformed digest", commit("sha256:nonsense", b.content[half:]), "DIGEST_INVALID"},
		{"an unknown algorithm", commit("md5:d41d8cd98f00b204e9800998ecf8427e", nil), "DIGEST_INVALID"},
		{"no digest", func(u *upload) *request {
			return u.request(http.MethodPut).content(b.content[half:])
		}, "DIGEST_INVALID|BLOB_UPLOAD_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			u := repo.in(t).startUpload()
			u.follow(u.patch().content(b.content[:half]).expect(http.StatusAccepted), half)
			tt.commit(u).refused(tt.codes, http.StatusBadRequest)
			if got := u.received(); got != half {
				t.Errorf("the upload has %d bytes, want the %d that it had before", got, half)
			}
			u.commit(b.digest).content(b.content[half:]).expect(http.StatusCreated)
			u.servesBlob(b)
		})
	}
}

// The algorithm of a refused digest is forgotten with it.
func TestEmptyUploadOutlivesRefusedPut(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.text("a text")
	for _, right := range []blob{b, b.by512()} {
		u := repo.startUpload()
		for _, wrong := range []string{sha512Of(nil), sha256Of(nil)} {
			u.commit(wrong).content(b.content).refused("DIGEST_INVALID", http.StatusBadRequest)
			if got := u.received(); got != 0 {
				t.Errorf("the upload has %d bytes, want none", got)
			}
		}
		u.follow(u.patch().content(b.content).expect(http.StatusAccepted), len(b.content))
		u.commit(right.digest).expect(http.StatusCreated)
		repo.servesBlob(right)
	}
}
