package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// yard is a store in files as one that is days old.
type yard struct {
	*testing.T
	dir string
}

// store stores an object that is so old, and says what it is called.
func (y yard) store(object, content string, age time.Duration) string {
	y.Helper()
	file := filepath.Join(y.dir, "storage", object)
	then := time.Now().Add(-age)
	for _, err := range []error{
		os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600), os.Chtimes(file, then, then),
	} {
		if err != nil {
			y.Fatal(err)
		}
	}
	return object
}

func (y yard) blob(content string, age time.Duration) (object string, d oci.Digest) {
	y.Helper()
	d = oci.SHA256.Sum([]byte(content))
	return y.store("_local/blobs/"+d.String()+"/data", content, age), d
}

// image stores one of a single blob, under a tag.
func (y yard) image(tag string, age time.Duration) (objects []string) {
	y.Helper()
	config, digest := y.blob(`{"tag":"`+tag+`"}`, age)
	manifest, d := y.blob(fmt.Sprintf(`{"config":{"mediaType":"x","digest":"%s","size":%d}}`, digest, len(tag)+10), age)
	return []string{config, manifest,
		y.store("_local/repos/org/app/manifests/"+tag, fmt.Sprintf(`{%q:%q}`, oci.MediaTypeImageManifest, d), age),
		y.store("_local/repos/org/app/manifests/"+d.String(), fmt.Sprintf(`{%q:%q}`, oci.MediaTypeImageManifest, d), age)}
}

func (y yard) has(object string) bool {
	_, err := os.Stat(filepath.Join(y.dir, "storage", object))
	return err == nil
}

// all says whether all of the objects are there, or none.
func (y yard) all(there bool, objects []string) {
	y.Helper()
	for _, o := range objects {
		if y.has(o) != there {
			y.Errorf("%s is there: %v, want %v", o, !there, there)
		}
	}
}

const day = 24 * time.Hour

func TestPrune(t *testing.T) {
	y := yard{t, t.TempDir()}
	old, young := y.image("old", 31*day), y.image("young", 29*day)
	stray, _ := y.blob("nothing needs it", 25*time.Hour)
	environ := house(y.dir, "ZUUL_REGISTRY_PRUNE_MANIFEST_AGE=30d")

	code, would, stderr := execute(t, append(environ, "ZUUL_REGISTRY_PRUNE_DRY_RUN=true"), "prune")
	y.all(true, append(append(old, young...), stray))
	lines := strings.Split(strings.TrimSpace(would), "\n")
	if code != exitDone || len(lines) != 6 || !strings.Contains(would, stray+": blob, 25h0m0s old, 16 bytes\n") {
		t.Errorf("a dry run: exit code %d, %s%s", code, would, stderr)
	}

	code, did, stderr := execute(t, environ, "prune")
	y.all(true, young)
	y.all(false, append(old, stray))
	last := lines[len(lines)-1]
	if want := strings.Replace(last, "would remove", "removed", 1); code != exitDone || did != want+"\n" || want == last {
		t.Errorf("exit code %d, %qwant %q\n%s", code, did, want, stderr)
	}

	unknown := y.store("_local/repos/org/app/manifests/young~", "", day)
	code, did, stderr = execute(t, house(y.dir, "ZUUL_REGISTRY_PRUNE_MANIFEST_AGE=1h"), "prune")
	y.all(true, young)
	if code != exitFailed || !strings.Contains(did, "removed nothing") || !strings.Contains(stderr, unknown) {
		t.Errorf("in doubt: exit code %d, %s%s", code, did, stderr)
	}
}

// A server prunes when it starts, unless somebody has within the interval.
func TestServePrunes(t *testing.T) {
	y := yard{t, t.TempDir()}
	environ := house(y.dir, "ZUUL_REGISTRY_PRUNE_INTERVAL=1h", "ZUUL_REGISTRY_PRUNE_MANIFEST_AGE=1d", "ZUUL_REGISTRY_METRICS_ADDRESS=127.0.0.1:0")
	for _, tt := range []struct {
		start  string
		prunes bool
	}{{"the first", true}, {"the second", false}} {
		old := y.image("old", 2*day)
		r := serve(t, environ)
		log := r.program.stderr.(*stream)
		for !strings.Contains(log.String(), "serving metrics") || tt.prunes && !strings.Contains(log.String(), "msg=pruned") {
			select {
			case code := <-r.code:
				t.Fatalf("%s start: it ended with %d:\n%s", tt.start, code, log)
			case <-time.After(time.Millisecond):
			}
		}
		counted := fmt.Sprintf(`zuul_registry_prune_removed_objects_total{kind="tag"} %d`, map[bool]int{true: 1}[tt.prunes])
		if said := metricsOf(t, log.String()); !strings.Contains(said, counted+"\n") {
			t.Errorf("%s start: %s is not among the metrics:\n%s", tt.start, counted, said)
		}
		r.stop()
		if code := <-r.code; code != exitDone || strings.Contains(log.String(), "pruning begins") != tt.prunes {
			t.Errorf("%s start: exit code %d, the log is\n%s", tt.start, code, log)
		}
		y.all(!tt.prunes, old)
	}
}

// metricsOf asks where the log says.
func metricsOf(t *testing.T, log string) string {
	t.Helper()
	answer, err := http.Get(regexp.MustCompile(`http://\S+/metrics`).FindString(log))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}
