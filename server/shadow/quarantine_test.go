package shadow_test

import (
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// What was fetched and is damaged is fetched again once check has moved it.
func TestQuarantineHealsWhatWasFetched(t *testing.T) {
	w := newWorld(t, time.Hour)
	blob := w.push(w.there, "org/app", "content")
	m := w.tagged(w.there, "org/app", "latest", blob)
	fetch := func() {
		t.Helper()
		w.gives("org/app", tag("latest"), m, false)
		if got, err := w.reads(t.Context(), "org/app", blob); err != nil || got != "content" {
			t.Errorf("the blob is %q, %v", got, err)
		}
		w.wasAsked("GET manifests", "GET blobs")
	}
	fetch()
	for _, d := range []oci.Digest{blob, m.Digest} {
		w.ok(w.store.Put(t.Context(), "_local/blobs/"+d.String()+"/data", strings.NewReader("damage"), storage.Durable))
	}
	moved := 0
	w.ok(w.kept.Check(t.Context(), local.Inspection{
		Quarantine: true,
		Report: func(f local.Fault) {
			moved++
			if f.Moved == "" {
				t.Errorf("it finds %+v", f)
			}
		},
		Progress: func(int, int) {},
	}))
	if moved != 2 {
		t.Errorf("%d objects were moved, want 2", moved)
	}
	fetch()
}
