package local_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// content is of several parts, the last of which is a short one.
var content = bytes.Repeat([]byte("0123456789abcdef"), (3*swift.SmallestPart+100)/16)

func app(t *testing.T) oci.Name {
	t.Helper()
	name, err := oci.ParseName("org/app")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// A replica that is killed takes with it no more than the parts that were on their
// way: another one goes on from there.
func TestAnUploadOutlivesItsReplica(t *testing.T) {
	store, name := pretend.New(t), app(t)
	killed, other := local.New(store.Open(), local.Options{}), local.New(store.Open(), local.Options{})
	body, client := io.Pipe()
	u, err := killed.StartUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = u.Append(context.Background(), 0, body) }() // and never ends: it is killed
	if _, err := client.Write(content); err != nil {
		t.Fatal(err)
	}

	resumed := awaitUpload(t, other, name, u.ID())
	if got, least := resumed.Size(), int64(2*swift.SmallestPart); got < least {
		t.Fatalf("%d bytes are left of %d, want at least %d", got, len(content), least)
	}
	if err := resumed.Append(t.Context(), resumed.Size(), bytes.NewReader(content[resumed.Size():])); err != nil {
		t.Fatal(err)
	}
	commit(t, other, name, resumed)
	_ = client.Close()
}

// awaitUpload resumes an upload as soon as there is one with two parts.
func awaitUpload(t *testing.T, r *local.Registry, name oci.Name, id string) oci.Upload {
	t.Helper()
	for {
		u, err := r.ResumeUpload(t.Context(), name, id)
		switch {
		case err == nil && u.Size() >= 2*swift.SmallestPart:
			return u
		case err == nil:
			err = u.Close(t.Context())
		case errors.Is(err, oci.BlobUploadUnknown):
			err = nil // nothing is recorded yet
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t *testing.T, r *local.Registry, name oci.Name, u oci.Upload) {
	t.Helper()
	d := oci.SHA256.Sum(content)
	if _, err := u.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	isWhole(t, r)
}

// isWhole asserts that the blob is what was pushed.
func isWhole(t *testing.T, r *local.Registry) {
	t.Helper()
	blob, err := r.OpenBlob(t.Context(), app(t), oci.SHA256.Sum(content))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blob.Content.Close() }()
	if got, err := io.ReadAll(blob.Content); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the blob has %d bytes, %v; want %d", len(got), err, len(content))
	}
}

// Each request of an upload may come to another replica.
func TestAnUploadGoesFromReplicaToReplica(t *testing.T) {
	store, name := pretend.New(t), app(t)
	u, err := local.New(store.Open(), local.Options{}).StartUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for from := 0; from < len(content); from += 1 << 20 {
		next, err := local.New(store.Open(), local.Options{}).ResumeUpload(t.Context(), name, u.ID())
		if err != nil {
			t.Fatal(err)
		}
		chunk := content[from:min(from+1<<20, len(content))]
		if err := errors.Join(next.Append(t.Context(), int64(from), bytes.NewReader(chunk)), next.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	last := local.New(store.Open(), local.Options{})
	resumed, err := last.ResumeUpload(t.Context(), name, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	commit(t, last, name, resumed)
}

// A wrong digest leaves the upload as it was before the request, though parts of the
// request were recorded.
func TestAWrongDigestAfterSeveralParts(t *testing.T) {
	store, name := pretend.New(t), app(t)
	r := local.New(store.Open(), local.Options{})
	u, err := r.StartUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Append(t.Context(), 0, bytes.NewReader(content[:10])), u.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	request, err := r.ResumeUpload(t.Context(), name, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := request.Append(t.Context(), 10, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if _, err := request.Commit(t.Context(), oci.SHA256.Sum(content)); !errors.Is(err, oci.DigestInvalid) {
		t.Fatalf("Commit: %v, want DIGEST_INVALID", err)
	}
	if err := request.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	again, err := local.New(store.Open(), local.Options{}).ResumeUpload(t.Context(), name, u.ID())
	if err != nil || again.Size() != 10 {
		t.Fatalf("the upload has %d bytes, %v; want 10", again.Size(), err)
	}
	if err := again.Append(t.Context(), 10, bytes.NewReader(content[10:])); err != nil {
		t.Fatal(err)
	}
	commit(t, r, name, again)
}

// What Swift does not take is not part of the upload, which goes on from what it has.
func TestAPartThatCannotBeStored(t *testing.T) {
	store, name := pretend.New(t), app(t)
	r := local.New(store.Open(), local.Options{})
	u, err := r.StartUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	store.Between(refuse("PUT", "segments/", 2))
	if err := u.Append(t.Context(), 0, bytes.NewReader(content)); err == nil {
		t.Fatal("Append: no error")
	}
	if size := u.Size(); size > swift.SmallestPart {
		t.Fatalf("the upload has %d bytes after the first part", size)
	}
	store.Between(nil)
	if err := u.Append(t.Context(), u.Size(), bytes.NewReader(content[u.Size():])); err != nil {
		t.Fatal(err)
	}
	commit(t, r, name, u)
}

// refuse answers requests for such names with 507, from the nth on.
func refuse(method, name string, nth int32) func(http.ResponseWriter, *http.Request) bool {
	var seen atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, name) || seen.Add(1) < nth {
			return false
		}
		w.WriteHeader(http.StatusInsufficientStorage)
		return true
	}
}
