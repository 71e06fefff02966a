// Package clients proves the project's image with the tools that people use.
// Each is on a host of its own, verifies the registry's certificate, and goes
// through every scenario that it can; the table of that is in the README.
package clients

import (
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

func TestMain(m *testing.M) {
	testbed.Main(m,
		testbed.Server, testbed.Certify, testbed.Hello, testbed.Debian, testbed.Golang, testbed.Node,
		testbed.Program("clients/artifact"), testbed.Tools(programs...),
	)
}

// TestClients makes the table in the README. Every tool goes through the
// scenarios, each one alone with a registry and upstreams that are its own, and
// then all of them together.
func TestClients(t *testing.T) {
	bed := testbed.Open(t)
	engine := bed.StartEngine(t)
	table := newMatrix()
	t.Run("each", func(t *testing.T) {
		for _, tool := range tools {
			t.Run(tool.name, func(t *testing.T) {
				t.Parallel()
				playAlone(t, open(t, bed, engine).with(t, tool), table)
			})
		}
	})
	t.Run("together", func(t *testing.T) { playTogether(t, open(t, bed, engine), table) })
	t.Run("README", table.compare)
}

// playAlone has a tool go through what it can.
func playAlone(t *testing.T, w *world, table *matrix) {
	table.version(w.tool, the(w.version(t.Context()))(t))
	for _, scenario := range scenarios {
		if scenario.can(w.client) {
			t.Run(scenario.name, func(t *testing.T) {
				defer table.record(t, scenario.name, w)
				scenario.play(t, w)
			})
		}
	}
}
