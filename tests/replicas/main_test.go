// Package replicas runs three replicas of the registry behind HAProxy, with the
// configuration in docs, and one Swift behind them. People's tools push and pull,
// while replicas are killed, Swift's proxy is restarted, and some of its answers
// are spoilt: what was acknowledged is there, whole, at every replica.
//
//	tools ─ TLS ─ HAProxy ─┬─ replica 1 ─ faults ─┐
//	                       ├─ replica 2 ─ faults ─┼─ Swift
//	                       └─ replica 3 ─ faults ─┘
package replicas

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m,
		testbed.Server, testbed.Certify, testbed.Node,
		testbed.Program("clients/artifact"), testbed.Tools(programs...),
	)
}
