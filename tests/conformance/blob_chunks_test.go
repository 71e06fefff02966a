package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Chunks come in order. The registry says after each how far it is, and
// whenever it is asked.
func TestChunks(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 30_000)
	u := repo.startUpload()
	if got := u.received(); got != 0 {
		t.Errorf("a new upload has %d bytes", got)
	}
	for _, chunk := range [][2]int{{0, 10_000}, {10_000, 10_500}, {10_500, 30_000}} {
		u.follow(u.patch().chunk(b.content, chunk[0], chunk[1]).expect(http.StatusAccepted), chunk[1])
		if got := u.received(); got != chunk[1] {
			t.Errorf("after bytes %v the upload has %d", chunk, got)
		}
	}
	repo.lacksBlob(b.digest) // before it is committed
	u.commit(b.digest).expect(http.StatusCreated)
	repo.servesBlob(b)
}

// A chunk that does not begin where the upload ends is refused, with the true
// Range, and the client goes on from there.
func TestChunkOutOfOrder(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	const size, have = 30_000, 10_000
	b := repo.bulk("layer", size)
	tests := []struct {
		rule     string
		from, to int
	}{
		{"one too far ahead", 20_000, 30_000},
		{"one byte ahead", 10_001, 20_000},
		{"the same again", 0, 10_000},
		{"from the beginning", 0, 30_000},
		{"one byte behind", 9_999, 20_000},
	}
	for _, tt := range tests {
		for _, ending := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, with the last PUT: %t", tt.rule, ending), func(t *testing.T) {
				u := repo.in(t).startUpload()
				u.follow(u.patch().chunk(b.content, 0, have).expect(http.StatusAccepted), have)
				q := u.patch()
				if ending {
					q = u.commit(b.digest)
				}
				q.chunk(b.content, tt.from, tt.to).expect(http.StatusRequestedRangeNotSatisfiable).
					has("Range", fmt.Sprintf("0-%d", have-1))
				if got := u.received(); got != have {
					t.Fatalf("the upload has %d bytes, want %d", got, have)
				}
				u.commit(b.digest).chunk(b.content, have, size).expect(http.StatusCreated)
				u.servesBlob(b)
			})
		}
	}
}

// The first chunk begins at 0.
func TestFirstChunkOutOfOrder(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 2_000)
	u := repo.startUpload()
	u.patch().chunk(b.content, 1_000, 2_000).expect(http.StatusRequestedRangeNotSatisfiable)
	if got := u.received(); got != 0 {
		t.Errorf("the upload has %d bytes, want none", got)
	}
	u.follow(u.patch().chunk(b.content, 0, 2_000).expect(http.StatusAccepted), 2_000)
	u.commit(b.digest).expect(http.StatusCreated)
}

// A chunk that does not say properly where it belongs is refused, and nothing
// of it is kept.
func TestMalformedContentRange(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 2_000)
	ranges := []string{
		"nonsense", "1000-", "-1999", "1000", "1000-1999-2999", "1000 - 1999", "1000-x", "-",
		"1000--1999", "1000-99999999999999999999", "1999-1000",
		"1000-1998", "1000-2000", // the body has 1000 bytes
	}
	for _, text := range ranges {
		t.Run(text, func(t *testing.T) {
			u := repo.in(t).startUpload()
			u.follow(u.patch().content(b.content[:1_000]).expect(http.StatusAccepted), 1_000)
			for _, q := range []*request{u.patch(), u.commit(b.digest)} {
				q.header("Content-Range", text).content(b.content[1_000:]).
					refused("BLOB_UPLOAD_INVALID|SIZE_INVALID", http.StatusBadRequest)
			}
			if got := u.received(); got != 1_000 {
				t.Fatalf("the upload has %d bytes, want 1000", got)
			}
			u.commit(b.digest).content(b.content[1_000:]).expect(http.StatusCreated)
		})
	}
}

// A chunk of unknown length that is not as long as it says is refused; the
// client finds out how much of it counts.
func TestChunkOfAnotherLength(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 3_000)
	for _, text := range []string{"1000-1499", "1000-2999", "1999-1000"} {
		t.Run(text, func(t *testing.T) {
			u := repo.in(t).startUpload()
			u.follow(u.patch().content(b.content[:1_000]).expect(http.StatusAccepted), 1_000)
			u.patch().header("Content-Range", text).stream(b.content[1_000:2_000]).
				refused("BLOB_UPLOAD_INVALID|SIZE_INVALID", http.StatusBadRequest)
			if got := u.received(); got < 1_000 || got > 2_000 {
				t.Errorf("the upload has %d bytes, want 1000 and at most the 1000 that came", got)
			}
			u.finish(b)
		})
	}
}

// An upload that has ended, or never was, or is another repository's, is not
// known.
func TestUnknownUpload(t *testing.T) {
	t.Parallel()
	repo, other := newRepository(t, public), newRepository(t, public)
	b := repo.text("a text")
	tests := []struct {
		rule   string
		upload func(r *repository) *upload
	}{
		{"cancelled", func(r *repository) *upload {
			u := r.startUpload()
			u.follow(u.patch().content(b.content).expect(http.StatusAccepted), len(b.content))
			u.request(http.MethodDelete).expect(http.StatusNoContent)
			return u
		}},
		{"cancelled before any content", func(r *repository) *upload {
			u := r.startUpload()
			u.request(http.MethodDelete).expect(http.StatusNoContent)
			return u
		}},
		{"committed", func(r *repository) *upload {
			u := r.startUpload()
			c := r.text("another text")
			u.commit(c.digest).content(c.content).expect(http.StatusCreated)
			return u
		}},
		{"never begun", func(r *repository) *upload {
			return &upload{r, "/v2/" + r.name + "/blobs/uploads/4b1f2a1e-7c0d-4f6e-9a57-0d7c8a3c2b10"}
		}},
		{"no upload's name", func(r *repository) *upload {
			return &upload{r, "/v2/" + r.name + "/blobs/uploads/no-such-upload"}
		}},
		{"another repository's", func(r *repository) *upload {
			u := other.in(r.t).startUpload()
			return &upload{r, strings.Replace(u.location, other.name, r.name, 1)}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			u := tt.upload(repo.in(t))
			for _, q := range []*request{
				u.request(http.MethodGet), u.patch().content(b.content), u.patch().chunk(b.content, 0, len(b.content)),
				u.commit(b.digest).content(b.content), u.request(http.MethodDelete),
			} {
				q.refused("BLOB_UPLOAD_UNKNOWN", http.StatusNotFound)
			}
		})
	}
	repo.lacksBlob(b.digest)
}
