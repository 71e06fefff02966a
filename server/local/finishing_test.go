package local_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// cutOff is what may end a commit in its midst, and leaves it to somebody else.
var cutOff = map[string]func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) bool{
	"before the blob is made": func(_ *pretend.Swift, w http.ResponseWriter, r *http.Request) bool {
		return refused(w, r.URL.Query().Has("multipart-manifest") && r.Method == http.MethodPut)
	},
	"when the blob is made, and nobody hears of it": func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) bool {
		made := r.URL.Query().Has("multipart-manifest") && r.Method == http.MethodPut
		if made {
			s.Forward(httptest.NewRecorder(), r)
		}
		return refused(w, made)
	},
	"before the upload is gone": func(_ *pretend.Swift, w http.ResponseWriter, r *http.Request) bool {
		return refused(w, strings.Contains(r.URL.Path, "/uploads/") && r.Method == http.MethodDelete)
	},
}

func refused(w http.ResponseWriter, ours bool) bool {
	if ours {
		w.WriteHeader(http.StatusInsufficientStorage)
	}
	return ours
}

// cutCommit begins an upload, whose commit fails.
func cutCommit(t *testing.T, how func(*pretend.Swift, http.ResponseWriter, *http.Request) bool) (*pretend.Swift, oci.Upload) {
	t.Helper()
	store, name := pretend.New(t), app(t)
	r := local.New(store.Open(), local.Options{})
	u, err := r.StartUpload(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Append(t.Context(), 0, bytes.NewReader(content)), u.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	u = resume(t, r, u.ID())
	store.Between(func(w http.ResponseWriter, r *http.Request) bool { return how(store, w, r) })
	if _, err := u.Commit(t.Context(), oci.SHA256.Sum(content)); err == nil {
		t.Fatal("Commit: no error")
	}
	store.Between(nil)
	return store, u
}

func resume(t *testing.T, r *local.Registry, id string) oci.Upload {
	t.Helper()
	u, err := r.ResumeUpload(t.Context(), app(t), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A commit that was cut off is finished by whoever is asked to.
func TestACommitIsFinishedByAnother(t *testing.T) {
	for when, how := range cutOff {
		t.Run(when, func(t *testing.T) {
			store, u := cutCommit(t, how)
			if err := u.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			other := local.New(store.Open(), local.Options{})
			again := resume(t, other, u.ID())
			if err := again.Append(t.Context(), again.Size(), strings.NewReader("")); err != nil {
				t.Errorf("a PUT without content: %v", err)
			}
			commit(t, other, app(t), again)
			if _, err := other.ResumeUpload(t.Context(), app(t), u.ID()); !errors.Is(err, oci.BlobUploadUnknown) {
				t.Errorf("the upload afterwards: %v, want BLOB_UPLOAD_UNKNOWN", err)
			}
		})
	}
}

// A commit may have been carried out though it failed: to cancel the upload, or to
// fail to go on with it, does not touch the blob.
func TestABlobOutlivesItsUpload(t *testing.T) {
	for when, how := range cutOff {
		t.Run(when, func(t *testing.T) {
			store, u := cutCommit(t, how)
			other := local.New(store.Open(), local.Options{})
			if err := u.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			again := resume(t, other, u.ID())
			if err := again.Append(t.Context(), again.Size(), strings.NewReader("more")); !errors.Is(err, oci.BlobUploadInvalid) {
				t.Errorf("more content: %v, want BLOB_UPLOAD_INVALID", err)
			}
			if err := again.Cancel(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := other.StatBlob(t.Context(), app(t), oci.SHA256.Sum(content)); err == nil {
				isWhole(t, other)
			} else if !errors.Is(err, oci.BlobUnknown) {
				t.Error(err)
			}
		})
	}
}

// Two replicas may have the same upload in hand, as when a proxy repeats a request. When
// one has made it a blob, nothing that the other does about the upload is of effect.
func TestTwoReplicasHaveOneUpload(t *testing.T) {
	for what, second := range map[string]func(t *testing.T, u oci.Upload) error{
		"both finish it": func(t *testing.T, u oci.Upload) error {
			_, err := u.Commit(t.Context(), oci.SHA256.Sum(content))
			return err
		},
		"one cancels it": func(t *testing.T, u oci.Upload) error { return u.Cancel(t.Context()) },
		"one goes on with it": func(t *testing.T, u oci.Upload) error {
			if err := u.Append(t.Context(), u.Size(), strings.NewReader("more")); err != nil {
				return err
			}
			if err := u.Close(t.Context()); !errors.Is(err, oci.BlobUploadUnknown) {
				t.Errorf("Close: %v, want BLOB_UPLOAD_UNKNOWN", err)
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			store, name := pretend.New(t), app(t)
			one, two := local.New(store.Open(), local.Options{}), local.New(store.Open(), local.Options{})
			u, err := one.StartUpload(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(u.Append(t.Context(), 0, bytes.NewReader(content)), u.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
			first, late := resume(t, one, u.ID()), resume(t, two, u.ID())
			commit(t, one, name, first)
			if err := second(t, late); err != nil {
				t.Error(err)
			}
			if _, err := two.ResumeUpload(t.Context(), name, u.ID()); !errors.Is(err, oci.BlobUploadUnknown) {
				t.Errorf("the upload afterwards: %v, want BLOB_UPLOAD_UNKNOWN", err)
			}
			isWhole(t, one)
		})
	}
}

// The same in the moment in which the blob is there and the upload is not yet gone.
func TestACommitBesideAnUnfinishedOne(t *testing.T) {
	store, u := cutCommit(t, cutOff["before the upload is gone"])
	two := local.New(store.Open(), local.Options{})
	late := resume(t, two, u.ID())
	for _, err := range []error{u.Close(t.Context()), late.Cancel(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	isWhole(t, two)
}

// A commit that was cut off is not finished as another blob: both would have the same
// parts, and who deletes one would damage the other.
func TestACommitIsNotFinishedAsAnotherBlob(t *testing.T) {
	for when, how := range cutOff {
		t.Run(when, func(t *testing.T) {
			store, u := cutCommit(t, how)
			if err := u.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			other := local.New(store.Open(), local.Options{})
			again := resume(t, other, u.ID())
			if _, err := again.Commit(t.Context(), oci.SHA512.Sum(content)); !errors.Is(err, oci.BlobUploadUnknown) {
				t.Errorf("Commit as another blob: %v, want BLOB_UPLOAD_UNKNOWN", err)
			}
			if err := again.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := resume(t, other, u.ID()).Commit(t.Context(), oci.SHA256.Sum(content)); err != nil {
				t.Errorf("Commit as the same: %v", err)
			}
			isWhole(t, other)
		})
	}
}
