package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"opendev.org/zuul/zuul-registry/server/oci"
)

func newServed(m *Metrics) *prometheus.CounterVec {
	v := m.counter("served_total", "Manifests and blobs that clients have pulled by GET, or have tried to, by kind and by origin: "+
		"speculative (a manifest pushed here), kept (a blob that is here), cached (fetched before), fetched (from the upstream, now), "+
		"stale (fetched before, and the upstream does not answer), or else miss (it is not here, and the upstream does not give it), "+
		"refused, failed.", "kind", "origin")
	for _, kind := range []string{manifestKind, blobKind} {
		for _, origin := range oci.Origins {
			v.WithLabelValues(kind, string(origin))
		}
	}
	return v
}

const (
	manifestKind = "manifest"
	blobKind     = "blob"
)

// counted is a registry of which is counted what it serves.
type counted struct {
	oci.Registry
	served *prometheus.CounterVec
}

// Count counts what a registry serves, and what it does not.
func (m *Metrics) Count(r oci.Registry) oci.Registry { return counted{r, m.served} }

// count leaves out requests whose client has left before there was an answer.
func (c counted) count(ctx context.Context, kind string, o oci.Origin, err error) {
	if ctx.Err() != nil && err != nil {
		return
	}
	c.served.WithLabelValues(kind, string(oci.OriginOf(o, err))).Inc()
}

func (c counted) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	m, err := c.Registry.GetManifest(ctx, name, ref)
	c.count(ctx, manifestKind, m.Origin, err)
	return m, err
}

func (c counted) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	b, err := c.Registry.OpenBlob(ctx, name, d)
	c.count(ctx, blobKind, b.Origin, err)
	return b, err
}
