package roles

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// requiring is the option of a play whose job wants images to be speculative.
func requiring(images ...string) string {
	required, _ := json.Marshal(map[string]any{"buildset_registry_report_require_speculative": images})
	return "--extra-vars=" + string(required)
}

const (
	collecting   = "../../playbooks/buildset-registry/post.yaml"
	consuming    = "../../playbooks/buildset-registry-consumer/post.yaml"
	reporting    = "playbooks/story/report.yaml"
	noReport     = "There is no report of the buildset registry: "
	wasNotPulled = ": was not pulled at all"
)

// report has the job that ran the registry look back: what the changes ahead
// have built was got from there, and what nobody has built was not.
func (s story) report(t *testing.T, build *testbed.Build) {
	t.Helper()
	node, secrets := s.hosts.Builder, secretsOf(build.Returned(t).SecretData["buildset_registry"])
	sentry := watch(t, node)
	met := build.Play(t, collecting, "--limit=builder", requiring("docker.io/org/base", "quay.io/org/base:latest"))
	untold(t, "a command line", sentry.saw(t), secrets...)
	unmet, err := build.TryPlay(t, collecting, "--limit=builder",
		requiring("docker.io/org/base", "docker.io/org/released", "quay.io/org/nobody:1.0"))
	wantFailure(t, unmet, err, "docker.io/org/released:latest: ", "quay.io/org/nobody:1.0"+wasNotPulled)
	if err != nil && strings.Contains(err.Error(), "org/base:latest: ") {
		t.Errorf("what was required is there, but: %v", err)
	}
	for _, played := range []*testbed.Played{met, unmet} {
		if changed := strings.Join(played.Changed(), ", "); changed != "" {
			t.Errorf("to look back changes: %s", changed)
		}
		untold(t, "the console", played.Console, secrets...)
	}
	wantArtifact(t, build)

	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(build.WorkDir, "logs/buildset-registry", name))
		if err != nil {
			t.Fatal(err)
		}
		untold(t, name, string(content), secrets...)
		return string(content)
	}
	if log := read("builder.log"); !strings.Contains(log, "name=quay.io/org/tool") {
		t.Errorf("the log of the registry that was collected has no line of what was pushed:\n%s", log)
	}
	if page := read("report.html"); !strings.Contains(page, "quay.io/org/base") {
		t.Errorf("the page does not name what was pulled:\n%s", page)
	}
	var pulls struct {
		Pulls []struct{ Name, Origin, Address string }
	}
	if err := json.Unmarshal([]byte(read("report.json")), &pulls); err != nil {
		t.Fatal(err)
	}
	for name, origin := range map[string]string{"quay.io/org/base": "speculative", "docker.io/org/released": "fetched"} {
		if !slices.Contains(pulls.Pulls, struct{ Name, Origin, Address string }{name, origin, node.IPv4}) {
			t.Errorf("the report does not say that %s had %s, %s: %v", node.IPv4, name, origin, pulls.Pulls)
		}
	}
	left := node.Run(t, "find", "/tmp", "/home/zuul/.ansible", "/root", "-name", "auth.json", "-o", "-name", "certificate.pem")
	if left != "" {
		t.Errorf("the role has left %s", left)
	}
	s.consumer(t, build)
}

// consumer is a job on another node that depends on the one with the registry. What
// others have pulled, here over the loopback interface, is not what it has tested.
func (s story) consumer(t *testing.T, registry *testbed.Build) {
	t.Helper()
	access := registry.Returned(t).SecretData["buildset_registry"]
	node := s.hosts.Executor
	build := s.hosts.Build(t, testbed.Job{Variables: map[string]any{
		"buildset_registry": access, "zuul_registry_binary": s.bed.Binary(),
	}})
	if consumed := build.Play(t, consuming); len(build.Returned(t).Data) > 0 {
		t.Errorf("nothing is required of the consumer, but:\n%s", consumed.Console)
	}
	node.Write(t, "/var/tmp/trust-builder/ca.crt", 0o644, []byte(access.(map[string]any)["cert"].(string)))
	node.Run(t, "skopeo", "inspect", "--cert-dir=/var/tmp/trust-builder", fmt.Sprintf("docker://%s:5000/quay.io/org/base", s.hosts.Builder.IPv4))
	const here = "docker://127.0.0.1:5000/quay.io/org/"
	s.hosts.Builder.Run(t, "skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
		"--dest-creds=zuul:"+secretsOf(access)[0], here+"base", here+"other")
	s.hosts.Builder.Run(t, "skopeo", "inspect", "--tls-verify=false", here+"other")

	required := requiring("quay.io/org/base", "quay.io/org/other")
	played, err := build.TryPlay(t, reporting, required)
	wantFailure(t, played, err, "quay.io/org/other:latest"+wasNotPulled)
	if err != nil && strings.Contains(err.Error(), "org/base:latest: ") {
		t.Errorf("the consumer got what it required, but: %v", err)
	}
	untold(t, "the console", played.Console, secretsOf(access)...)
	wantArtifact(t, build)
	build.Play(t, consuming, required, `--extra-vars={"buildset_registry_report_clients": []}`)
}

// TestReportWithoutRegistry has a job whose registry is gone: it is warned, and
// fails only if it requires something and has not failed already. Check mode
// does not ask the registry.
func TestReportWithoutRegistry(t *testing.T) {
	bed := testbed.Open(t)
	gone := maps.Clone(registry)
	gone["host"], gone["port"] = "127.0.0.1", 1
	required := requiring("docker.io/org/base")
	for _, job := range []struct {
		what          string
		options       []string
		warned, fails bool
	}{
		{"a job that requires nothing", nil, true, false},
		{"a job that requires something", []string{required, "--extra-vars=buildset_registry_report_since=90m"}, true, true},
		{"a job that has failed", []string{required, "--extra-vars=zuul_success=false"}, true, false},
		{"check mode", []string{required, "--check"}, false, false},
	} {
		t.Run(job.what, func(t *testing.T) {
			t.Parallel()
			build := bed.Build(t, testbed.Job{Variables: map[string]any{
				"buildset_registry":    gone,
				"zuul_registry_binary": bed.Binary(), "zuul_registry_directory": filepath.Dir(bed.Binary()),
			}})
			played, err := build.TryPlay(t, reporting, append(job.options, "--extra-vars=reporter=localhost")...)
			if job.fails {
				wantFailure(t, played, err, noReport, "https://127.0.0.1:1/report?since=90m")
			} else if err != nil {
				t.Error(err)
			}
			zuul, _ := build.Returned(t).Data["zuul"].(map[string]any)
			if warning := fmt.Sprint(zuul["warnings"]); strings.Contains(warning, noReport) != job.warned || zuul["artifacts"] != nil {
				t.Errorf("the job returned %v", zuul)
			}
			untold(t, "the console", played.Console+fmt.Sprint(zuul), secret)
		})
	}
}

// secretsOf are those of what run-buildset-registry returns.
func secretsOf(access any) []string {
	password := access.(map[string]any)["password"].(string)
	return []string{password, base64.StdEncoding.EncodeToString([]byte("zuul:" + password))}
}

// wantArtifact finds the page among what a build has returned, once.
func wantArtifact(t *testing.T, build *testbed.Build) {
	t.Helper()
	zuul, _ := build.Returned(t).Data["zuul"].(map[string]any)
	var pages []any
	for _, artifact := range list(zuul["artifacts"]) {
		if artifact.(map[string]any)["name"] == "Buildset registry report" {
			pages = append(pages, artifact)
		}
	}
	want := []any{map[string]any{
		"name": "Buildset registry report", "url": "buildset-registry/report.html",
		"metadata": map[string]any{"type": "buildset_registry_report"},
	}}
	if !reflect.DeepEqual(pages, want) {
		t.Errorf("the build has returned %v, want %v", pages, want)
	}
	if zuul["warnings"] != nil {
		t.Errorf("the build has warnings: %v", zuul["warnings"])
	}
}

// wantFailure finds a play to have failed at its end, and that it says why.
func wantFailure(t *testing.T, played *testbed.Played, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("the job did not fail:\n%s", played.Console)
		return
	}
	for _, reason := range says {
		if !strings.Contains(err.Error(), reason) {
			t.Errorf("the job failed, and does not say %q: %v", reason, err)
		}
	}
	if n := len(played.Tasks); n > 0 && played.Tasks[n-1].Became != "failed" {
		t.Errorf("after the failure there was %v", played.Tasks[n-1])
	}
}
