package roles

import (
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// role is one that is played by a build on a host.
type role struct {
	playbook string
	build    *testbed.Build
	host     *testbed.Host
}

func (r role) limit() string { return "--limit=" + r.host.Name }

// onlyCheck has check mode say that there is something to do, and leave it.
func (r role) onlyCheck(t *testing.T) {
	t.Helper()
	before := touched(t, r.host)
	checked := r.build.Check(t, r.playbook, r.limit())
	if len(checked.Changed()) == 0 {
		t.Errorf("check mode finds nothing to do:\n%s", checked.Console)
	}
	now := touched(t, r.host)
	for file, state := range now {
		if before[file] != state {
			t.Errorf("check mode changed %s: %s, before: %q", file, state, before[file])
		}
	}
	for file := range before {
		if _, ok := now[file]; !ok {
			t.Errorf("check mode removed %s", file)
		}
	}
	if returned := r.build.Returned(t); returned.Data != nil || returned.SecretData != nil {
		t.Errorf("check mode returned something to Zuul: %v", returned)
	}
}

// touched is when each file of a host was last changed in any way, and the mode
// and owner of each folder; but for what
// the container tools touch when they look at their own, logs, what Ansible leaves
// behind, and what a registry goes on writing that runs there already.
func touched(t *testing.T, host *testbed.Host) map[string]string {
	t.Helper()
	files := map[string]string{}
	for line := range strings.Lines(host.Run(t, "find", "/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var", "-xdev",
		"(", "-path", "/home/zuul/.local/share/containers", "-o", "-path", "/home/zuul/.ansible", "-o", "-path", "/root/.ansible",
		"-o", "-path", "/var/log", "-o", "-path", "/var/lib/systemd", "-o", "-name", "_journal", "-o", "-name", "registry.log", ")", "-prune",
		"-o", "-type", "d", "-printf", `%p\t%m %u %g\n`,
		"-o", "-printf", `%p\t%y %m %u %g %s %C@\n`)) {
		file, state, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[file] = state
	}
	return files
}

// playAgain plays the role after what it runs was ended. It is started again.
// Now that the secrets are known, nobody sees them on a command line.
func (r role) playAgain(t *testing.T, secrets ...string) {
	t.Helper()
	sentry := watch(t, r.host)
	played := r.build.Play(t, r.playbook, r.limit())
	lines := sentry.saw(t)
	if !strings.Contains(lines, "zuul-registry") {
		t.Errorf("nobody saw the registry start:\n%s", lines)
	}
	untold(t, "a command line", lines, secrets...)
	untold(t, "the console", played.Console, secrets...)
	if len(played.Changed()) == 0 {
		t.Errorf("it was not started again:\n%s", played.Console)
	}
}
