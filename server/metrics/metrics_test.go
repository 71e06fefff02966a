package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"opendev.org/zuul/zuul-registry/server/metrics"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// page is what Prometheus gets.
func page(m *metrics.Metrics) string {
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, metrics.Path, nil))
	return answer.Body.String()
}

// says asserts that there are lines that begin so, by regular expressions.
func says(t *testing.T, m *metrics.Metrics, lines ...string) {
	t.Helper()
	text := page(m)
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(text) {
			t.Errorf("there is no line %s in\n%s", line, ours(text))
		}
	}
}

// saysNothing asserts that there is no line that begins so.
func saysNothing(t *testing.T, m *metrics.Metrics, begin string) {
	t.Helper()
	if text := page(m); strings.Contains(text, "\n"+begin) {
		t.Errorf("there is a line %s in\n%s", begin, ours(text))
	}
}

// ours are the lines that are about the registry.
func ours(text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "zuul_registry_") {
			all.WriteString(line)
		}
	}
	return all.String()
}

func TestBuildAndProcess(t *testing.T) {
	says(t, metrics.New("1.2.3"),
		`zuul_registry_build_info\{goversion="go[^"]+",version="1\.2\.3"\} 1`,
		`process_resident_memory_bytes \d.*`)
}

// Names are as Prometheus wants them.
func TestNames(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Begin("blob", http.MethodGet)(http.StatusOK, 1, 1, time.Second)
	m.Storage(memory.New(), "memory")
	m.Upstreams(func() []upstream.State {
		return []upstream.State{{Namespace: "docker.io", Asked: time.Now(), Limited: true, ClosedUntil: time.Now()}}
	})
	m.Pruned(time.Second, nil)
	problems, err := promlint.New(strings.NewReader(page(m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
