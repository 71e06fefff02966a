// Package roles plays the Ansible roles on hosts of their own.
package roles

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m, testbed.Server, testbed.Certify, testbed.Hello, testbed.Node)
}

// TestPing has Ansible reach every host.
func TestPing(t *testing.T) {
	hosts := testbed.Open(t).StartHosts(t)
	build := hosts.Build(t, testbed.Job{})
	first := build.PlayTwice(t, "playbooks/ping.yaml")
	t.Log(first.Tasks)
}
