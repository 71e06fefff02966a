// Package roles plays the Ansible roles on hosts of their own, and checks how
// they and Zuul's configuration are written.
package roles

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m, testbed.Server, testbed.Certify, testbed.Hello, testbed.Node)
}
