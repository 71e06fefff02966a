package metrics_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/metrics"
)

func TestPrunesAreCounted(t *testing.T) {
	m := metrics.New()
	for _, size := range []int64{3, 4} {
		m.Removed(local.Removal{Kind: local.BlobKind, Size: size})
	}
	m.Pruned(time.Minute, nil)
	m.Pruned(2*time.Minute, errors.New("in doubt"))
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, metrics.Path, nil))
	for _, line := range []string{
		`zuul_registry_prune_removed_objects_total\{kind="blob"\} 2`,
		`zuul_registry_prune_removed_objects_total\{kind="tag"\} 0`,
		`zuul_registry_prune_removed_bytes_total\{kind="blob"\} 7`,
		`zuul_registry_prune_runs_total\{result="done"\} 1`,
		`zuul_registry_prune_runs_total\{result="incomplete"\} 1`,
		`zuul_registry_prune_duration_seconds 120`,
		`zuul_registry_prune_end_timestamp_seconds\{result="done"\} 1\.\d+e\+09`,
		`process_resident_memory_bytes \d`,
	} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(answer.Body.String()) {
			t.Errorf("there is no line %s in\n%s", line, answer.Body)
		}
	}
}
