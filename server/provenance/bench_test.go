package provenance_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/web"
)

// BenchmarkManifestGET is the whole of a request but for the network, with and without
// the journal: what that costs is not to be noticed.
func BenchmarkManifestGET(b *testing.B) {
	store, err := filesystem.New(filesystem.Options{Root: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	kept := local.New(store, local.Options{})
	name, err := namespace.Auto.Name("quay.io/org/app", "")
	if err != nil {
		b.Fatal(err)
	}
	m, err := oci.NewManifest(oci.MediaTypeImageIndex, []byte(`{"manifests":[]}`), oci.SHA256)
	if err == nil {
		err = kept.PutManifest(b.Context(), name, m, tag("latest"))
	}
	if err != nil {
		b.Fatal(err)
	}
	journal := provenance.Open(store, quiet())
	defer journal.Close()
	ask := func(h http.Handler) time.Duration {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/v2/quay.io/org/app/manifests/latest", nil)
		r.Header.Set("User-Agent", "containerd/2.1 linux/amd64")
		begin := time.Now()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
		return time.Since(begin)
	}
	// In turns, for what else the machine does takes more than the journal.
	var without, with []time.Duration
	bare, noted := handler(kept), handler(provenance.Record(kept, journal.Note))
	for b.Loop() {
		without, with = append(without, ask(bare)), append(with, ask(noted))
	}
	b.ReportMetric(float64(median(without)), "ns/without")
	b.ReportMetric(float64(median(with)), "ns/with")
	b.ReportMetric(float64(median(with))/float64(median(without)), "with/without")
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func handler(r oci.Registry) http.Handler {
	log := slog.New(slog.DiscardHandler)
	images := api.New(r, api.Options{
		Name: namespace.Auto.Name, Errors: api.ErrorWriter{Log: log},
		IsPusher: func(context.Context, oci.Name) bool { return false },
	})
	return web.Chain(web.Routes{Rest: images}, web.Options{
		Log: log, Describe: images.Describe, Identify: func(*http.Request) access.Grant { return access.Reader.Grant("") },
	})
}
