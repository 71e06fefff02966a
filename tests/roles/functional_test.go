package roles

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestFunctional plays what the project's own pipelines try its image with.
func TestFunctional(t *testing.T) {
	bed := testbed.Open(t)
	hosts := bed.StartEngine(t).OpenSite(t).StartHosts(t)
	hosts.Builder.Load(t, "zuul", "docker", bed.Server(t), image)
	build := hosts.Build(t, testbed.Job{})
	build.Play(t, "../../playbooks/functional-test/run.yaml", "--limit=builder")
}
