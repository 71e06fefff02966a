package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestFunctional plays what the project's own pipelines try its image with, and
// finds the registry's log among those of the job.
func TestFunctional(t *testing.T) {
	bed := testbed.Open(t)
	hosts := bed.StartHosts(t)
	hosts.Builder.Load(t, "zuul", "docker", bed.Server(t), image)
	build := hosts.Build(t, testbed.Job{Variables: map[string]any{"buildset_registry_runtime": "container"}})
	build.Play(t, "../../playbooks/functional-test/run.yaml", "--limit=builder")
	build.Play(t, "../../playbooks/buildset-registry/post.yaml", "--limit=builder")
	log, err := os.ReadFile(filepath.Join(build.WorkDir, "logs/buildset-registry/builder.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "nobody-has-this") {
		t.Errorf("the log that was collected has no line of what was asked for:\n%s", log)
	}
}
