// Command zuul-registry is the container image registry of the Zuul gating
// system. Its first argument is the command; every setting is an environment
// variable (see "zuul-registry config").
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"opendev.org/zuul/zuul-registry/server/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // the work failed, or found faults
	exitUsage  = 2 // wrong usage or configuration
)

// program is what a command has of the world.
type program struct {
	environ        []string
	stdout, stderr io.Writer
}

// command is what the first argument names.
type command struct {
	name, does string
	run        func(p *program, ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "run the registry (what is done without a command)", alone((*program).serve)},
		{"prune", "remove from the store what has expired and what nothing needs", alone((*program).prune)},
		{"check", "read the whole store and print each fault", alone((*program).check)},
		{"certificate", "write a self-signed certificate and key, unless they exist", alone((*program).certificate)},
		{"copy", "copy images from registry to registry: SRC DST [SRC DST]...", (*program).copy},
		{"report", "print what was pulled, by whom and from where, of the registry running here, or of a URL or a saved FILE: [URL|FILE]", (*program).report},
		{"config", "print every variable with its meaning, its default and the value in force", alone((*program).config)},
		{"health", "ask the registry running here whether it is well", alone((*program).health)},
		{"version", "print the version", alone((*program).version)},
		{"help", "print this", alone((*program).help)},
	}
}

// alone is a command that stands alone.
func alone(run func(*program, context.Context) error) func(*program, context.Context, []string) error {
	return func(p *program, ctx context.Context, args []string) error {
		if len(args) > 0 {
			return usageError{errors.New("this command takes no arguments: settings are environment variables, which \"zuul-registry config\" prints")}
		}
		return run(p, ctx)
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{os.Environ(), os.Stdout, os.Stderr}
	code := p.execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// usageError is a fault of who started the program.
type usageError struct{ error }

// wrong is the error of a setting that cannot be used.
func wrong(variable, value string, err error) error {
	return usageError{config.Fault{Variable: config.Prefix + variable, Problem: fmt.Sprintf("is %q: %v", value, err)}}
}

// errFaults ends a command that has said what is wrong.
var errFaults = errors.New("faults were found")

// execute runs the command that the arguments name and returns the exit code.
func (p *program) execute(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFaults):
		return exitFailed
	}
	_, _ = fmt.Fprintln(p.stderr, "zuul-registry:", err)
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func (p *program) dispatch(ctx context.Context, args []string) error {
	name := "serve"
	if len(args) > 0 {
		name = args[0]
	}
	switch name { // what people try first
	case "-h", "--help":
		name = "help"
	case "--version":
		name = "version"
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(p, ctx, args[min(1, len(args)):])
		}
	}
	return usageError{fmt.Errorf("%q is no command: \"zuul-registry help\" lists them", name)}
}

func (p *program) help(context.Context) error {
	_, err := fmt.Fprint(p.stdout, "zuul-registry keeps the container images of changes under test.\n\nCommands:\n")
	for _, c := range commands() {
		_, err = fmt.Fprintf(p.stdout, "  %-12s %s\n", c.name, c.does)
	}
	_, _ = fmt.Fprint(p.stdout, "\nEvery setting is an environment variable: \"zuul-registry config\" prints them.\n")
	return err
}
