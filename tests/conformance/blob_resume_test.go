package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// target is the request's URL as a request line has it.
func (q *request) target() string {
	q.t.Helper()
	where, err := url.Parse(q.url)
	if err != nil {
		q.t.Fatal(err)
	}
	return where.RequestURI()
}

// finish sends what the registry has not got, wherever it is, and ends the
// upload, as the specification has clients do after a failure ("end-13").
func (u *upload) finish(b blob) {
	u.t.Helper()
	for try := 0; ; try++ {
		have := u.received()
		a := u.patch().chunk(b.content, have, len(b.content)).
			expect(http.StatusAccepted, http.StatusRequestedRangeNotSatisfiable)
		if a.status == http.StatusAccepted {
			u.follow(a, len(b.content))
			break
		}
		if try == 10 {
			u.t.Fatalf("the upload was said to end at %d, which was then out of order", have)
		}
	}
	u.commit(b.digest).expect(http.StatusCreated)
	u.servesBlob(b)
}

// A client hangs up in the middle of a PATCH: what came counts, and the upload
// goes on from there.
func TestUploadIsCut(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 1_000)
	u := repo.startUpload()
	w := public.dial(t)
	target := u.patch().target()
	w.begin(http.MethodPatch, target, "Content-Type: application/octet-stream", length(1_000)).write(b.content[:400])
	w.hangUp(http.MethodPatch, target)
	if got := u.received(); got != 400 {
		t.Errorf("the upload has %d bytes, want the 400 that came", got)
	}
	u.finish(b)
}

// A client is gone without a word, while the registry reads what it sends.
func TestClientVanishes(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 1_000_000)
	u := repo.startUpload()
	w := public.dial(t)
	w.begin(http.MethodPatch, u.patch().target(), length(len(b.content)), "Expect: 100-continue").awaitContinue()
	w.write(b.content[:600_000])
	w.vanish()
	u.finish(b)
}

// A PUT that is cut short ends nothing.
func TestCommitIsCut(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 1_000)
	u := repo.startUpload()
	u.follow(u.patch().content(b.content[:300]).expect(http.StatusAccepted), 300)
	w := public.dial(t)
	target := u.commit(b.digest).target()
	w.begin(http.MethodPut, target, length(700)).write(b.content[300:600])
	w.hangUp(http.MethodPut, target)
	repo.lacksBlob(b.digest)
	if got := u.received(); got < 300 || got > 600 {
		t.Errorf("the upload has %d bytes, want the 300 from before and at most the 300 that came", got)
	}
	u.finish(b)
}

// A body that is cut short stores nothing where nobody can go on.
func TestBodyIsCut(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	image, b := repo.image("image"), repo.bulk("layer", 1_000)
	prefix := blobOf(b.content[:400])
	own := "/v2/" + repo.name
	whole, begun := own+"/blobs/uploads/?digest="+b.digest, own+"/blobs/uploads/?digest="+prefix.digest
	announced := []string{length(len(b.content))}
	chunked := []string{"Transfer-Encoding: chunked"}
	typed := []string{"Content-Type: " + ociImage, length(len(image.content) + 1)}
	tests := []struct {
		rule, method, path string
		headers            []string
		body               []byte
	}{
		{"a blob in one request", "POST", whole, announced, prefix.content},
		{"a blob whose beginning is one", "POST", begun, announced, prefix.content},
		{"a blob of unknown length", "POST", whole, chunked, append([]byte("3e8\r\n"), prefix.content...)},
		{"a blob whose beginning is a chunk", "POST", begun, chunked, append([]byte("190\r\n"), prefix.content...)},
		{"a blob in broken chunks", "POST", whole, chunked, []byte("nonsense\r\n\r\n")},
		{"a manifest", "PUT", own + "/manifests/latest", typed, image.content},
		{"a manifest by its digest", "PUT", own + "/manifests/" + image.digest, typed, image.content},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			w := public.dial(t)
			w.begin(tt.method, tt.path, tt.headers...).write(tt.body)
			w.hangUp(tt.method, tt.path)
			here := repo.in(t)
			here.lacksBlob(b.digest)
			here.lacksBlob(prefix.digest)
			here.lacks("latest")
			here.lacks(image.digest)
		})
	}
}

// What was pushed is there after a restart, and what was half pushed goes on,
// whether the server was asked to end or killed. So do tokens: their secret is
// a setting.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		end  func(t *testing.T, s *server)
	}{
		{"ended", func(t *testing.T, s *server) { s.stop(t) }},
		{"killed", func(_ *testing.T, s *server) { s.kill() }},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			before := start(t, nil)
			repo := newRepository(t, before)
			image := repo.image("image")
			repo.tag("latest", image)
			short, long := repo.bulk("layer", 50_000), repo.bulk("layer by sha512", 100_000).by512()
			first := repo.startUpload()
			first.follow(first.patch().stream(short.content[:20_001]).expect(http.StatusAccepted), 20_001)
			second := repo.uploadAt(repo.post("/blobs/uploads/").query("digest-algorithm", "sha512").expect(http.StatusAccepted))
			second.follow(second.patch().stream(long.content[:60_001]).expect(http.StatusAccepted), 60_001)
			token := before.granted(t, asWriter(), "repository:"+repo.name+":pull,push")
			tt.end(t, before)

			after := before.installation.startFor(t)
			again := after.repository(t, repo.name).as(token)
			again.serves("latest", image)
			again.serves(image.digest, image)
			again.servesBlob(repo.text("layer of image"))
			(&upload{again, first.location}).finish(short)
			(&upload{again, second.location}).finish(long)
		})
	}
}

// Two servers on one directory would damage it: the second says so and ends.
func TestOneServerOnADirectory(t *testing.T) {
	t.Parallel()
	first := start(t, nil)
	root := first.settings["STORAGE_ROOT"]
	second, err := newInstallation(t.TempDir(), map[string]string{"STORAGE_ROOT": root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.start(); err == nil || !strings.Contains(err.Error(), root+" is in use") {
		t.Fatalf("a second server: %v, want that it says so", err)
	}
	repo := newRepository(t, first)
	repo.tag("latest", repo.image("image"))
}

// Whoever has lost the answer to the last PUT asks again, and is told that the blob is
// there, unless it is not.
func TestCommitIsRepeated(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, public)
	b := repo.bulk("layer", 30_000)
	u := repo.startUpload()
	u.follow(u.patch().content(b.content).expect(http.StatusAccepted), len(b.content))
	for range 2 {
		u.commit(b.digest).expect(http.StatusCreated).has("Docker-Content-Digest", b.digest)
	}
	u.commit(repo.text("never pushed").digest).refused("BLOB_UPLOAD_UNKNOWN", http.StatusNotFound)
	repo.servesBlob(b)
}
