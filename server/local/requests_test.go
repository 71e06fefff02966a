package local_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// What a client's step costs Swift is in a table of docs/swift.rst.
func TestRequestsToSwift(t *testing.T) {
	store, name := pretend.New(t), app(t)
	r := local.New(store.Open(), local.Options{})
	var id string
	var manifest oci.Manifest
	steps := []struct {
		step             string
		do               func() error
		requests, writes int
	}{
		{"a blob is not there", func() error {
			if _, err := r.StatBlob(t.Context(), name, oci.SHA256.Sum(content)); !errors.Is(err, oci.BlobUnknown) {
				return errors.Join(err, errors.New("it is there"))
			}
			return nil
		}, 2, 0},
		{"POST", func() error {
			u, err := r.StartUpload(t.Context(), name)
			if err != nil {
				return err
			}
			id = u.ID()
			return u.Close(t.Context())
		}, 1, 1},
		{"PATCH of four parts", func() error {
			u := resume(t, r, id)
			return errors.Join(u.Append(t.Context(), 0, bytes.NewReader(content)), u.Close(t.Context()))
		}, 4 + 3*3, 2 + 3*2},
		{"PUT", func() error {
			_, err := resume(t, r, id).Commit(t.Context(), oci.SHA256.Sum(content))
			return err
		}, 8, 3},
		{"a blob is there", func() error {
			_, err := r.StatBlob(t.Context(), name, oci.SHA256.Sum(content))
			return err
		}, 1, 0},
		{"PUT of a manifest with one blob and one tag", func() (err error) {
			text := `{"schemaVersion":2,"config":{"mediaType":"application/json","size":1,"digest":"` + oci.SHA256.Sum(content).String() + `"},"layers":[]}`
			if manifest, err = oci.NewManifest(oci.MediaTypeImageManifest, []byte(text), oci.SHA256); err != nil {
				return err
			}
			tag, err := oci.ParseTag("latest")
			return errors.Join(err, r.PutManifest(t.Context(), name, manifest, tag))
		}, 10, 3},
		{"GET of a manifest", func() error {
			_, err := r.GetManifest(t.Context(), name, oci.Reference{Digest: manifest.Digest})
			return err
		}, 2, 0},
		{"ready", func() error { return r.Ready(t.Context()) }, 3, 0},
	}
	if len(content) <= 3*swift.SmallestPart {
		t.Fatal("the content is not of four parts")
	}
	store.Asked()
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.step, err)
		}
		asked, writes := store.Asked(), 0
		for _, request := range asked {
			if !strings.HasPrefix(request, "GET") && !strings.HasPrefix(request, "HEAD") {
				writes++
			}
		}
		if len(asked) != s.requests || writes != s.writes {
			t.Errorf("%s: %d requests, %d of them writes, want %d and %d:\n%s", s.step, len(asked), writes, s.requests, s.writes, strings.Join(asked, "\n"))
		}
	}
}
