package metrics_test

import (
	"errors"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/metrics"
)

func TestPrunesAreCounted(t *testing.T) {
	m := metrics.New("1.2.3")
	for _, size := range []int64{3, 4} {
		m.Removed(local.Removal{Kind: local.BlobKind, Size: size})
	}
	m.Pruned(time.Minute, nil)
	m.Pruned(2*time.Minute, errors.New("in doubt"))
	says(t, m,
		`zuul_registry_prune_removed_objects_total\{kind="blob"\} 2`,
		`zuul_registry_prune_removed_objects_total\{kind="tag"\} 0`,
		`zuul_registry_prune_removed_bytes_total\{kind="blob"\} 7`,
		`zuul_registry_prune_runs_total\{result="done"\} 1`,
		`zuul_registry_prune_runs_total\{result="incomplete"\} 1`,
		`zuul_registry_prune_duration_seconds 120`,
		`zuul_registry_prune_end_timestamp_seconds\{result="done"\} 1\.\d+e\+09`)
}
