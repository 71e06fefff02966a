package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests are the metrics of requests.
type requests struct {
	total          *prometheus.CounterVec   // by route, method and code
	took           *prometheus.HistogramVec // by route and method
	sent, received *prometheus.CounterVec   // by route
	running        *prometheus.GaugeVec     // by route
	uploads        prometheus.Gauge
}

// requestBuckets are from what is answered out of memory to layers on slow lines, in
// seconds.
var requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func newRequests(m *Metrics) requests {
	return requests{
		total: m.counter("http_requests_total",
			"Requests that have ended, by route, method and status; the code is none where a request was cut off before an answer.", "route", "method", "code"),
		took: m.seconds("http_request_duration_seconds",
			"How long requests took, with their bodies and those of the answers, by route and method.", requestBuckets, "route", "method"),
		sent:     m.counter("http_sent_bytes_total", "Bytes of the bodies of answers, by route.", "route"),
		received: m.counter("http_received_bytes_total", "Bytes of the bodies of requests, by route.", "route"),
		running:  m.gauge("http_requests_in_flight", "Requests that are being answered, by route.", "route"),
		uploads:  m.gauge("uploads_in_progress", "Requests of pushes of blobs that are being answered.").WithLabelValues(),
	}
}

// Begin counts a request that begins, and the func that it returns one that ends, with
// the status of the answer, 0 for none, the bytes of the bodies and how long it took.
// Routes are names that are given to few kinds of paths; the method is as the client
// sent it.
func (m *Metrics) Begin(route, method string) (end func(status int, sent, received int64, took time.Duration)) {
	q := &m.requests
	method = known(method)
	running := q.running.WithLabelValues(route)
	running.Inc()
	uploads := uploading(route, method)
	if uploads {
		q.uploads.Inc()
	}
	return func(status int, sent, received int64, took time.Duration) {
		running.Dec()
		if uploads {
			q.uploads.Dec()
		}
		q.total.WithLabelValues(route, method, code(status)).Inc()
		q.took.WithLabelValues(route, method).Observe(took.Seconds())
		q.sent.WithLabelValues(route).Add(float64(sent))
		q.received.WithLabelValues(route).Add(float64(received))
	}
}

// known is the method, if it is one that has a meaning here.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete:
		return method
	}
	return "other"
}

// uploading says whether requests send content of blobs.
func uploading(route, method string) bool {
	switch route {
	case "uploads", "upload":
		return method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut
	}
	return false
}

func code(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status)
}
