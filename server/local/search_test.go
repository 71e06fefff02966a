package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// slow is a store that takes a second for each object.
type slow struct{ storage.Driver }

func (s slow) Open(ctx context.Context, name string) (io.ReadSeekCloser, storage.Info, error) {
	time.Sleep(time.Second)
	return s.Driver.Open(ctx, name)
}

// A blob that may be needed by one of more manifests than can be read stays, and
// pushes do not wait for ever.
func TestASearchForUsersEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, name := memory.New(), app(t)
		r := local.New(store, local.Options{})
		for i := range 50 {
			m, err := oci.NewManifest(oci.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"annotations":{"n":"%d"}}`, i), oci.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.PutManifest(t.Context(), name, m); err != nil {
				t.Fatal(err)
			}
		}
		u, err := r.StartUpload(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		empty := oci.SHA256.Sum(nil)
		if _, err := u.Commit(t.Context(), empty); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := local.New(slow{store}, local.Options{}).DeleteBlob(t.Context(), name, empty); !errors.Is(err, oci.Unsupported) {
			t.Errorf("DeleteBlob: %v, want UNSUPPORTED", err)
		}
		if took := time.Since(begin); took > 40*time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := r.StatBlob(t.Context(), name, empty); err != nil {
			t.Errorf("StatBlob: %v", err)
		}
	})
}
