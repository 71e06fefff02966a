package metrics_test

import (
	"testing"

	"opendev.org/zuul/zuul-registry/server/metrics"
)

func TestWhatIsServedIsCounted(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Served("blob", "fetched")
	m.Served("blob", "fetched")
	says(t, m,
		`zuul_registry_served_total\{kind="blob",origin="fetched"\} 2`,
		`zuul_registry_served_total\{kind="blob",origin="kept"\} 0`,
		`zuul_registry_served_total\{kind="manifest",origin="stale"\} 0`,
		`zuul_registry_served_total\{kind="manifest",origin="miss"\} 0`)
}
