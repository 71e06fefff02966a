package testbed

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
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

// build makes a static binary.
func build(ctx context.Context, program, file string) error {
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	_, err := Run(command)
	return err
}
