package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"opendev.org/zuul/zuul-registry/server/oci"
)

func newServed(m *Metrics) *prometheus.CounterVec {
	v := m.counter("served_total", "Manifests and blobs that clients have asked for, by kind and by origin: "+
		"speculative (a manifest pushed here), kept (a blob that is here), cached (fetched before), fetched (from the upstream, now), "+
		"stale (fetched before, and the upstream does not answer), or else miss (it is nowhere), refused, failed.", "kind", "origin")
	for _, kind := range []string{"manifest", "blob"} {
		for _, origin := range []oci.State{oci.Speculative, oci.Kept, oci.Cached, oci.Fetched, oci.Stale, "miss", "refused", "failed"} {
			v.WithLabelValues(kind, string(origin))
		}
	}
	return v
}

// Served counts a manifest or a blob that a client has asked for, by its kind and
// origin or, where there is none, the outcome.
func (m *Metrics) Served(kind, origin string) { m.served.WithLabelValues(kind, origin).Inc() }
