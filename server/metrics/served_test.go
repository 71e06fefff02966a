package metrics_test

import (
	"context"
	"testing"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/metrics"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/registrytest"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// What is counted is not changed.
func TestCountIsARegistry(t *testing.T) {
	registrytest.Suite{New: func(*testing.T) oci.Registry {
		return metrics.New("").Count(local.New(memory.New(), local.Options{}))
	}}.Run(t)
}

// shelf has one blob, and no manifests.
type shelf struct{ oci.Registry }

func (shelf) OpenBlob(ctx context.Context, _ oci.Name, _ oci.Digest) (oci.Blob, error) {
	return oci.Blob{Descriptor: oci.Descriptor{Origin: oci.Fetched}}, ctx.Err()
}

func (shelf) GetManifest(context.Context, oci.Name, oci.Reference) (oci.Manifest, error) {
	return oci.Manifest{}, oci.Errorf(oci.ManifestUnknown, "there is none")
}

func TestWhatIsServedIsCounted(t *testing.T) {
	m := metrics.New("1.2.3")
	r := m.Count(shelf{})
	left, leave := context.WithCancel(t.Context())
	leave()
	for _, ctx := range []context.Context{t.Context(), t.Context(), left} {
		_, _ = r.OpenBlob(ctx, oci.Name{}, oci.Digest{})
	}
	_, _ = r.GetManifest(t.Context(), oci.Name{}, oci.Reference{})
	says(t, m,
		`zuul_registry_served_total\{kind="blob",origin="fetched"\} 2`,
		`zuul_registry_served_total\{kind="blob",origin="failed"\} 0`,
		`zuul_registry_served_total\{kind="blob",origin="kept"\} 0`,
		`zuul_registry_served_total\{kind="manifest",origin="stale"\} 0`,
		`zuul_registry_served_total\{kind="manifest",origin="miss"\} 1`)
}
