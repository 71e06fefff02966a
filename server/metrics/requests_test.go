package metrics_test

import (
	"net/http"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/metrics"
)

func TestRequestsAreCounted(t *testing.T) {
	m := metrics.New("1.2.3")
	end := m.Begin("upload", http.MethodPatch)
	m.Begin("upload", http.MethodGet)(http.StatusNoContent, 0, 0, time.Millisecond)
	says(t, m,
		`zuul_registry_http_requests_in_flight\{route="upload"\} 1`,
		`zuul_registry_uploads_in_progress 1`,
		`zuul_registry_http_requests_total\{code="204",method="GET",route="upload"\} 1`)
	saysNothing(t, m, `zuul_registry_http_requests_total{code="202"`)
	end(http.StatusAccepted, 5, 7, 2*time.Minute)
	m.Begin("other", "MADE-UP")(http.StatusMethodNotAllowed, 11, 0, 0)
	m.Begin("blob", http.MethodGet)(0, 0, 0, 0)
	says(t, m,
		`zuul_registry_http_requests_in_flight\{route="upload"\} 0`,
		`zuul_registry_uploads_in_progress 0`,
		`zuul_registry_http_requests_total\{code="202",method="PATCH",route="upload"\} 1`,
		`zuul_registry_http_requests_total\{code="405",method="other",route="other"\} 1`,
		`zuul_registry_http_requests_total\{code="none",method="GET",route="blob"\} 1`,
		`zuul_registry_http_request_duration_seconds_sum\{method="PATCH",route="upload"\} 120`,
		`zuul_registry_http_request_duration_seconds_bucket\{method="PATCH",route="upload",le="60"\} 0`,
		`zuul_registry_http_request_duration_seconds_bucket\{method="PATCH",route="upload",le="300"\} 1`,
		`zuul_registry_http_sent_bytes_total\{route="upload"\} 5`,
		`zuul_registry_http_received_bytes_total\{route="upload"\} 7`)
}

func BenchmarkRequest(b *testing.B) {
	m := metrics.New("1.2.3")
	b.ReportAllocs()
	for b.Loop() {
		m.Begin("manifest", http.MethodGet)(http.StatusOK, 1234, 0, 80*time.Microsecond)
	}
}
