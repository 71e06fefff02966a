package roles

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestRun runs registries in each of the ways that there are, on all hosts at
// the same time.
func TestRun(t *testing.T) {
	bed := testbed.Open(t)
	hosts := bed.StartEngine(t).OpenSite(t).StartHosts(t)
	if changed := hosts.Build(t, testbed.Job{}).Play(t, "playbooks/ping.yaml").Changed(); len(changed) > 0 {
		t.Errorf("to look at the hosts changes them: %v", changed)
	}
	findLeaks(t, hosts.Intermediate)
	ways := map[*testbed.Host][]func(*testing.T){}
	names := map[*testbed.Host][]string{}
	add := func(name string, host *testbed.Host, play func(*testing.T)) {
		ways[host] = append(ways[host], play)
		names[host] = append(names[host], name)
	}
	add("an intermediate registry", hosts.Intermediate, func(t *testing.T) { playIntermediate(t, bed, hosts) })
	for _, way := range buildsetWays(t, bed, hosts) {
		add("a buildset registry "+way.name, way.host, func(t *testing.T) { playBuildset(t, bed, hosts, way) })
	}
	for host, plays := range ways {
		t.Run(host.Name, func(t *testing.T) {
			t.Parallel()
			for n, play := range plays {
				t.Run(names[host][n], play)
			}
		})
	}
}
