// Package metrics counts what the registry does, for Prometheus. Names follow its
// conventions: base units, and _total for what only grows.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"opendev.org/zuul/zuul-registry/server/local"
)

// Path is where Handler is served.
const Path = "/metrics"

// Metrics are those of a process. Make them with New.
type Metrics struct {
	registry *prometheus.Registry

	removed, removedBytes *prometheus.CounterVec // by kind
	prunes                *prometheus.CounterVec // by result
	pruneSeconds          prometheus.Gauge
	pruneEnd              *prometheus.GaugeVec // by result
}

const namespace = "zuul_registry"

// New makes metrics that are all zero.
func New() *Metrics {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	}
	m := &Metrics{
		registry:     prometheus.NewRegistry(),
		removed:      counters("prune_removed_objects_total", "Objects that prunes have removed, by kind.", "kind"),
		removedBytes: counters("prune_removed_bytes_total", "Bytes of the objects that prunes have removed, by kind.", "kind"),
		prunes:       counters("prune_runs_total", "Prunes that have ended, by result: done, or incomplete where not everything could be pruned.", "result"),
		pruneSeconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "prune_duration_seconds", Help: "How long the last prune took.",
		}),
		pruneEnd: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "prune_end_timestamp_seconds", Help: "When a prune last ended, by result.",
		}, []string{"result"}),
	}
	m.registry.MustRegister(m.removed, m.removedBytes, m.prunes, m.pruneSeconds, m.pruneEnd,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, k := range local.Kinds {
		m.removed.WithLabelValues(string(k))
		m.removedBytes.WithLabelValues(string(k))
	}
	for _, result := range []string{done, incomplete} {
		m.prunes.WithLabelValues(result)
	}
	return m
}

// Handler answers at Path with all of them.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(Path, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// Removed counts an object that a prune has removed.
func (m *Metrics) Removed(r local.Removal) {
	m.removed.WithLabelValues(string(r.Kind)).Inc()
	m.removedBytes.WithLabelValues(string(r.Kind)).Add(float64(r.Size))
}

// Results of a prune.
const (
	done       = "done"
	incomplete = "incomplete"
)

// Pruned counts a prune that has ended, with its error.
func (m *Metrics) Pruned(took time.Duration, err error) {
	result := done
	if err != nil {
		result = incomplete
	}
	m.prunes.WithLabelValues(result).Inc()
	m.pruneSeconds.Set(took.Seconds())
	m.pruneEnd.WithLabelValues(result).SetToCurrentTime()
}
