package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

const (
	module  = "opendev.org/zuul/zuul-registry"
	server  = "zuul-registry"
	greeter = "hello"
)

// Server prepares the program under test, built as it is shipped.
func Server(ctx context.Context, dir string) error {
	return build(ctx, module+"/server", filepath.Join(dir, server))
}

// Binary is the path of what Server prepared.
func (b *Bed) Binary() string { return b.path(server) }

// Hello prepares the one program of the from-scratch image.
func Hello(ctx context.Context, dir string) error {
	return build(ctx, module+"/tests/testbed/hello", filepath.Join(dir, greeter))
}

// Program prepares one of the project's own that is for tests on hosts.
func Program(name string) Preparation {
	return func(ctx context.Context, dir string) error {
		return build(ctx, module+"/tests/"+name, filepath.Join(dir, programsDir, filepath.Base(name)))
	}
}

// build makes a static binary.
func build(ctx context.Context, program, file string, options ...string) error {
	command := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, options, []string{"-trimpath", "-o", file, program})...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	_, err := Run(command)
	return err
}

// programsDir is the folder of programs that hosts have beside Debian's.
const programsDir = "programs"

// A Tool is somebody else's program, of a Go module at a version. It is built
// with the versions of its dependencies that the module says.
type Tool struct{ Module, Version, Package string }

// Tools of more than one package of tests, so that each is built once.
var (
	Crane  = Tool{Module: "github.com/google/go-containerregistry", Version: "v0.22.1", Package: "cmd/crane"}
	Regctl = Tool{Module: "github.com/regclient/regclient", Version: "v0.11.7", Package: "cmd/regctl"}
)

func (p Tool) name() string { return filepath.Base(p.Package) }

// Tools prepares programs for hosts. They are built once, and kept in the
// user's cache. One that cannot be had is left out, and the tests that ask for
// it say so.
func Tools(tools ...Tool) Preparation {
	return func(ctx context.Context, dir string) error {
		for _, tool := range tools {
			file, err := tool.build(ctx, dir)
			if err != nil {
				fmt.Fprintf(os.Stderr, "testbed: left out: %s %s: %v\n", tool.name(), tool.Version, err)
				continue
			}
			if err := install(file, filepath.Join(dir, programsDir, tool.name())); err != nil {
				return err
			}
		}
		return nil
	}
}

func (p Tool) build(ctx context.Context, dir string) (string, error) {
	version := fmt.Sprintf("%s-%s-%s", p.Version, runtime.GOARCH, runtime.Version())
	return cached(p.name(), version, func(half string) error {
		download := exec.CommandContext(ctx, "go", "mod", "download", "-json", p.Module+"@"+p.Version)
		download.Dir = dir // which is no module, and has no say
		said, err := download.Output()
		var source struct{ Dir, Error string }
		if wrong := json.Unmarshal(said, &source); wrong != nil || source.Dir == "" {
			return errors.Join(err, wrong, errors.New(source.Error))
		}
		fmt.Fprintf(os.Stderr, "testbed: building %s %s\n", p.name(), p.Version)
		return build(ctx, "./"+p.Package, half, "-C", source.Dir, "-mod=readonly")
	})
}

// install copies a program to where hosts see it.
func install(program, to string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o755))
}

// Tool is the path of what Tools or Program prepared, on every host with tools.
func (b *Bed) Tool(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(b.path(programsDir), name)
	if _, err := os.Stat(path); err != nil {
		Missing(t, name)
	}
	return path
}
