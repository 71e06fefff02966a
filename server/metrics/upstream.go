package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"opendev.org/zuul/zuul-registry/server/upstream"
)

// upstreams are the metrics of upstreams, whose own counts they are.
type upstreams struct {
	states                      func() []upstream.State
	requests                    *prometheus.Desc // by upstream and result
	up, limit, remaining, until *prometheus.Desc // by upstream
}

// Upstreams has the metrics of upstreams in the state that they are in. It is called
// once.
func (m *Metrics) Upstreams(states func() []upstream.State) {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "upstream", name), help, append([]string{"upstream"}, labels...), nil)
	}
	m.registry.MustRegister(&upstreams{
		states: states,
		requests: describe("requests_total", "What upstreams were asked for, by how that ended: found, absent, refused (the registry "+
			"lacks credentials), or unavailable (no answer, one of no use, or a blob that broke off).", "result"),
		up:        describe("up", "Whether the upstream has answered the last time; absent until it is asked."),
		limit:     describe("rate_limit", "How many requests the upstream allows in its window, if it says so."),
		remaining: describe("rate_limit_remaining", "How many of them were left when it last said so; absent when the window is over."),
		until:     describe("closed_until_timestamp_seconds", "Before when the upstream wants not to be asked; absent while it may be."),
	})
}

// Describe is as prometheus.Collector has it.
func (u *upstreams) Describe(all chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{u.requests, u.up, u.limit, u.remaining, u.until} {
		all <- d
	}
}

// Collect is as prometheus.Collector has it.
func (u *upstreams) Collect(all chan<- prometheus.Metric) {
	for _, s := range u.states() {
		u.collect(all, s)
	}
}

func (u *upstreams) collect(all chan<- prometheus.Metric, s upstream.State) {
	gauge := func(d *prometheus.Desc, value float64) {
		all <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.Namespace)
	}
	for result, n := range map[string]int64{
		"found": s.Found, "absent": s.Absent, "refused": s.Refused, "unavailable": s.Unavailable,
	} {
		all <- prometheus.MustNewConstMetric(u.requests, prometheus.CounterValue, float64(n), s.Namespace, result)
	}
	switch {
	case s.Problem != "":
		gauge(u.up, 0)
	case !s.Asked.IsZero():
		gauge(u.up, 1)
	}
	if s.Limited {
		gauge(u.limit, float64(s.Limit))
		gauge(u.remaining, float64(s.Remaining))
	}
	if !s.ClosedUntil.IsZero() {
		gauge(u.until, float64(s.ClosedUntil.Unix()))
	}
}
