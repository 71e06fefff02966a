// Package conformance speaks to the built registry as its clients do, over
// HTTPS and nothing else. It covers what the OCI distribution specification
// (version 1.1) asks of a registry, what Docker's clients expect besides, and
// the answers to bad input.
//
// Each test works in repositories of its own, on one server that all share;
// where the settings matter, it starts a server for itself. Every answer of
// every test is also held against the rules that have no exception: see
// answer.wellFormed. When a server ends, it must have done so cleanly, and its
// log must be free of secrets: see server.end.
package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

var (
	// binary is the program under test.
	binary string
	// public is the server that the tests share: everybody may read, and one
	// user writes.
	public *server
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run is TestMain with deferred calls that still happen.
func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	flag.Parse()
	if err := beMany(); err != nil {
		return failed(err)
	}
	if binary, err = build(dir); err != nil {
		return failed(err)
	}
	place, err := newInstallation(filepath.Join(dir, "public"), nil)
	if err != nil {
		return failed(err)
	}
	if public, err = place.start(); err != nil {
		return failed(err)
	}
	defer func() {
		if err := public.end(); err != nil {
			code = failed(err)
		}
	}()
	return m.Run()
}

// beMany has more tests run at a time than there are processors, unless -parallel
// says how many: most of what they do is to wait.
func beMany() error {
	const name, many = "test.parallel", "8"
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == name })
	if said || runtime.GOMAXPROCS(0) >= 8 {
		return nil
	}
	return flag.Set(name, many)
}

// build makes the program as it is shipped: static, without C.
func build(dir string) (string, error) {
	path := filepath.Join(dir, "zuul-registry")
	command := exec.Command("go", "build", "-o", path, "opendev.org/zuul/zuul-registry/server")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, output)
	}
	return path, nil
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	return 1
}
