package testbed

import (
	"os"
	"os/exec"
	"testing"
)

// Need is said by a test for every tool that it runs. Without one the test is
// skipped under the tool's name, but for CI, where a test left out is a fault.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			Missing(t, tool)
		}
	}
}

// Missing skips a test that needs what is not here, but for CI.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}
