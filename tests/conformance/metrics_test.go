package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// scrape reads the metrics of a server as Prometheus does: values by name and
// labels, as they are written.
func (s *server) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	response, err := http.Get("http://" + s.settings["METRICS_ADDRESS"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		if values[line[:end]], err = strconv.ParseFloat(strings.TrimSpace(line[end:]), 64); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return values
}

// measures asserts what metrics have grown by since an earlier look.
func (s *server) measures(t *testing.T, before map[string]float64, want map[string]float64) {
	t.Helper()
	now := s.scrape(t)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got := now["zuul_registry_"+name] - before["zuul_registry_"+name]; got != want[name] {
			t.Errorf("%s has grown by %v, want %v", name, got, want[name])
		}
	}
}

// measured starts a server with metrics, before upstreams.
func measured(t *testing.T, u upstreams, settings ...string) *server {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return shadowAll(t, u, append(settings, "METRICS_ADDRESS", address)...)
}

func TestMetricsOfRequests(t *testing.T) {
	t.Parallel()
	s := measured(t, upstreams{"quay.io": newUpstream(t)})
	repo := newRepository(t, s)
	repo.has(repo.text("what logs the writer in"))
	b, before := repo.text("content"), s.scrape(t)
	repo.has(b)
	repo.servesBlob(b)
	repo.lacks("latest")
	repo.request("MADE-UP", "/tags/list").expect(http.StatusMethodNotAllowed)
	s.request(t, http.MethodGet, "/nowhere").expect(http.StatusNotFound)
	s.request(t, http.MethodGet, "/readyz").expect(http.StatusOK)
	size := float64(len(b.content))
	s.measures(t, before, map[string]float64{
		`http_requests_total{code="201",method="POST",route="uploads"}`:  1,
		`http_requests_total{code="200",method="HEAD",route="blob"}`:     1,
		`http_requests_total{code="200",method="GET",route="blob"}`:      1,
		`http_requests_total{code="404",method="GET",route="manifest"}`:  1,
		`http_requests_total{code="404",method="HEAD",route="manifest"}`: 1,
		`http_requests_total{code="405",method="other",route="tags"}`:    1,
		`http_requests_total{code="404",method="GET",route="other"}`:     1,
		`http_requests_total{code="200",method="GET",route="readyz"}`:    1,
		`http_request_duration_seconds_count{method="GET",route="blob"}`: 1,
		`http_sent_bytes_total{route="blob"}`:                            size,
		`http_received_bytes_total{route="uploads"}`:                     size,
		`http_requests_in_flight{route="blob"}`:                          0,
		`storage_errors_total{driver="filesystem",operation="open"}`:     0,
	})
	const opens = `zuul_registry_storage_operation_duration_seconds_count{driver="filesystem",operation="open"}`
	if s.scrape(t)[opens] <= before[opens] {
		t.Error("nothing was opened in the store")
	}
}

func TestMetricsOfUploadsInProgress(t *testing.T) {
	t.Parallel()
	s := measured(t, upstreams{"quay.io": newUpstream(t)})
	u := newRepository(t, s).startUpload()
	body, client := io.Pipe()
	patch := u.patch()
	patch.length, patch.open = -1, func() io.Reader { return body }
	answered := make(chan error, 1)
	go func() {
		_, err := patch.check(http.StatusAccepted)
		answered <- err
	}()
	if _, err := client.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	await(t, "the upload to be seen", func() bool { return s.scrape(t)["zuul_registry_uploads_in_progress"] == 1 })
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	s.measures(t, nil, map[string]float64{"uploads_in_progress": 0, `http_received_bytes_total{route="upload"}`: 4})
}

func TestMetricsOfUpstreams(t *testing.T) {
	t.Parallel()
	hub, quay := newUpstream(t), newUpstream(t)
	image := hub.tagged("org/app", "1.0")
	hub.fails(says("RateLimit-Limit", "100;w=21600").with(says("RateLimit-Remaining", "98;w=21600")), getTag, headTag)
	quay.fails(answers(http.StatusTooManyRequests, "Retry-After", "60"))
	s := measured(t, upstreams{"docker.io": hub, "quay.io": quay})
	before := s.scrape(t)
	if _, known := before[`zuul_registry_upstream_up{upstream="docker.io"}`]; known {
		t.Error("it is known whether an upstream answers that nobody has asked")
	}
	s.reader(t, "docker.io/org/app").get("/manifests/1.0").expect(http.StatusOK).holds(image.content)
	s.reader(t, "docker.io/org/app").get("/manifests/2.0").expect(http.StatusNotFound)
	s.reader(t, "quay.io/org/app").get("/manifests/1.0").unavailable()
	s.measures(t, before, map[string]float64{
		`upstream_requests_total{result="found",upstream="docker.io"}`:       1,
		`upstream_requests_total{result="absent",upstream="docker.io"}`:      1,
		`upstream_requests_total{result="unavailable",upstream="docker.io"}`: 0,
		`upstream_requests_total{result="unavailable",upstream="quay.io"}`:   1,
		`upstream_up{upstream="docker.io"}`:                                  1,
		`upstream_up{upstream="quay.io"}`:                                    0,
		`upstream_rate_limit{upstream="docker.io"}`:                          100,
		`upstream_rate_limit_remaining{upstream="docker.io"}`:                98,
	})
}

// every is the names of all metrics that there can be.
func every(t *testing.T) map[string]bool {
	t.Helper()
	hub, quay := newUpstream(t), newUpstream(t)
	hub.tagged("org/app", "1.0")
	hub.fails(says("RateLimit-Limit", "100;w=21600").with(says("RateLimit-Remaining", "98;w=21600")), getTag, headTag)
	quay.fails(answers(http.StatusTooManyRequests, "Retry-After", "60"))
	s := measured(t, upstreams{"docker.io": hub, "quay.io": quay}, "PRUNE_INTERVAL", "1h")
	s.reader(t, "docker.io/org/app").get("/manifests/1.0").expect(http.StatusOK)
	s.reader(t, "quay.io/org/app").get("/manifests/1.0").unavailable()
	await(t, "the first prune", func() bool { return s.scrape(t)[`zuul_registry_prune_runs_total{result="done"}`] == 1 })
	names := map[string]bool{}
	for series := range s.scrape(t) {
		name, _, _ := strings.Cut(series, "{")
		names[name] = true
	}
	return names
}

var metricPattern = regexp.MustCompile(`\b(zuul_registry|process|go)_[a-z_]+`)

// What the documentation, the dashboard and the alerts name is there, and the
// documentation names all.
func TestMetricsAreWhatIsDocumented(t *testing.T) {
	t.Parallel()
	there := every(t)
	for _, file := range []string{"grafana-dashboard.json", "alerts.yaml"} {
		named := metricPattern.FindAllString(documentation(t, file), -1)
		if len(named) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range named {
			if !there[name] {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^``([a-z_]+)``  ").FindAllStringSubmatch(documentation(t, "monitoring.rst"), -1) {
		documented["zuul_registry_"+row[1]] = true
	}
	histogram := regexp.MustCompile(`_seconds_(bucket|sum|count)$`)
	for name := range there {
		if name = histogram.ReplaceAllString(name, "_seconds"); strings.HasPrefix(name, "zuul_registry_") && !documented[name] {
			t.Errorf("monitoring.rst does not have %s", name)
		}
	}
	for name := range documented {
		if !there[name] && !there[name+"_bucket"] {
			t.Errorf("monitoring.rst has %s, which there is not", name)
		}
	}
}

// documentation is a file of the documentation.
func documentation(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs Prometheus' own checks.
func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	testbed.Need(t, "promtool")
	if output, err := exec.Command("promtool", arguments...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", filepath.Join("..", "..", "docs", "alerts.yaml"))
	promtool(t, "test", "rules", filepath.Join("testdata", "alerts_test.yaml"))
}

// dashboard is what there is to check in one of Grafana's.
type dashboard struct {
	Title      string
	Panels     []panel
	Templating struct{ List []struct{ Name string } }
}

type panel struct {
	ID      int
	Title   string
	Type    string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr string }
}

// overlaps says whether two panels would be drawn over each other.
func (p panel) overlaps(o panel) bool {
	a, b := p.GridPos, o.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// The dashboard is one, and Prometheus understands what it asks.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var d dashboard
	if err := json.Unmarshal([]byte(documentation(t, "grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	variables := []string{"$__rate_interval", "5m", "$__range", "1h"}
	for _, v := range d.Templating.List {
		variables = append(variables, "$"+v.Name, ".*")
	}
	var rules []map[string]string
	for i, p := range d.Panels {
		for _, o := range d.Panels[:i] {
			if p.ID == o.ID || p.overlaps(o) {
				t.Errorf("panels %q and %q are in the same place, or have the same id", p.Title, o.Title)
			}
		}
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for n, target := range p.Targets {
			rules = append(rules, map[string]string{
				"record": fmt.Sprintf("panel:%d:%d", p.ID, n), "expr": strings.NewReplacer(variables...).Replace(target.Expr),
			})
		}
	}
	if d.Title == "" || len(rules) == 0 {
		t.Fatalf("the dashboard %q has %d questions", d.Title, len(rules))
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}
