package metrics_test

import (
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/metrics"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

func TestUpstreams(t *testing.T) {
	m := metrics.New("1.2.3")
	states := []upstream.State{{Namespace: "docker.io"}}
	m.Upstreams(func() []upstream.State { return states })
	says(t, m, `zuul_registry_upstream_requests_total\{result="found",upstream="docker\.io"\} 0`)
	saysNothing(t, m, "zuul_registry_upstream_up")
	saysNothing(t, m, "zuul_registry_upstream_rate_limit")
	saysNothing(t, m, "zuul_registry_upstream_closed")

	now := time.Now()
	states = []upstream.State{
		{Namespace: "docker.io", Asked: now, Answered: now, Limited: true, Limit: 100, Remaining: 98, Found: 7, Absent: 6, Refused: 5, Unavailable: 4},
		{Namespace: "quay.io", Asked: now, Problem: "does not answer", ClosedUntil: time.Unix(1234, 0)},
	}
	says(t, m,
		`zuul_registry_upstream_requests_total\{result="found",upstream="docker\.io"\} 7`,
		`zuul_registry_upstream_requests_total\{result="absent",upstream="docker\.io"\} 6`,
		`zuul_registry_upstream_requests_total\{result="refused",upstream="docker\.io"\} 5`,
		`zuul_registry_upstream_requests_total\{result="unavailable",upstream="docker\.io"\} 4`,
		`zuul_registry_upstream_up\{upstream="docker\.io"\} 1`,
		`zuul_registry_upstream_up\{upstream="quay\.io"\} 0`,
		`zuul_registry_upstream_rate_limit\{upstream="docker\.io"\} 100`,
		`zuul_registry_upstream_rate_limit_remaining\{upstream="docker\.io"\} 98`,
		`zuul_registry_upstream_closed_until_timestamp_seconds\{upstream="quay\.io"\} 1234`)
	saysNothing(t, m, `zuul_registry_upstream_rate_limit{upstream="quay.io"}`)
}
