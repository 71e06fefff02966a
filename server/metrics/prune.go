package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"opendev.org/zuul/zuul-registry/server/local"
)

// prunes are the metrics of prunes.
type prunes struct {
	removed, removedBytes *prometheus.CounterVec // by kind
	runs                  *prometheus.CounterVec // by result
	took                  prometheus.Gauge
	ended                 *prometheus.GaugeVec // by result
}

// Results of a prune.
const (
	done       = "done"
	incomplete = "incomplete"
)

func newPrunes(m *Metrics) prunes {
	p := prunes{
		removed:      m.counter("prune_removed_objects_total", "Objects that prunes have removed, by kind.", "kind"),
		removedBytes: m.counter("prune_removed_bytes_total", "Bytes of the objects that prunes have removed, by kind.", "kind"),
		runs:         m.counter("prune_runs_total", "Prunes that have ended, by result: done, or incomplete where not everything could be pruned.", "result"),
		took:         m.gauge("prune_duration_seconds", "How long the last prune took.").WithLabelValues(),
		ended:        m.gauge("prune_end_timestamp_seconds", "When a prune last ended, by result.", "result"),
	}
	for _, k := range local.Kinds {
		p.removed.WithLabelValues(string(k))
		p.removedBytes.WithLabelValues(string(k))
	}
	for _, result := range []string{done, incomplete} {
		p.runs.WithLabelValues(result)
	}
	return p
}

// Removed counts an object that a prune has removed.
func (m *Metrics) Removed(r local.Removal) {
	m.prunes.removed.WithLabelValues(string(r.Kind)).Inc()
	m.prunes.removedBytes.WithLabelValues(string(r.Kind)).Add(float64(r.Size))
}

// Pruned counts a prune that has ended, with its error.
func (m *Metrics) Pruned(took time.Duration, err error) {
	result := done
	if err != nil {
		result = incomplete
	}
	m.prunes.runs.WithLabelValues(result).Inc()
	m.prunes.took.Set(took.Seconds())
	m.prunes.ended.WithLabelValues(result).SetToCurrentTime()
}
