package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// client is a container tool with a store of images of its own, driven
// through the commands that its users type. A ref is what they would name an
// image by, registry.test:9000/zuul/debian:tag; an error holds all that the
// tool said.
type client interface {
	login(ctx context.Context, host, user, password string) error
	logout(ctx context.Context, host string) error
	// asksAtLogin says whether login asks the host. A tool that does not keeps
	// what it was told, and finds out when it pushes.
	asksAtLogin() bool
	// load puts an image into the tool's store, as ref.
	load(ctx context.Context, image testbed.Image, ref string) error
	// tag gives an image in the store a further name.
	tag(ctx context.Context, ref, further string) error
	push(ctx context.Context, ref string) error
	pull(ctx context.Context, ref string) error
	// remove removes the image from the tool's store.
	remove(ctx context.Context, ref string) error
	// id is the digest of the config of an image in the store, digest that of
	// the manifest which it was pulled by.
	id(ctx context.Context, ref string) (string, error)
	digest(ctx context.Context, ref string) (string, error)
	// use does with an image in the store what it is there for: it runs it, and
	// returns what it printed. A tool that cannot run images compares every
	// byte of it, and returns what it would have printed.
	use(ctx context.Context, image testbed.Image, ref string) (string, error)
}

// builder is a tool that can build, too.
type builder interface {
	// build builds an image that is the one named by base and a little more, as
	// ref, and leaves nothing else in the store.
	build(ctx context.Context, base, ref string) error
}

// onTopOf is a Dockerfile that adds to an image what does not change what it
// does.
func onTopOf(base string) string { return "FROM " + base + "\nENV BUILT=here\n" }

// command is a tool's program with the environment that keeps its settings
// apart from other tools'.
type command struct {
	program string
	options []string // before the subcommand
	home    string
	env     []string // of its own
}

// newCommand is a program that has its settings and credentials in home.
func newCommand(t *testing.T, home, program string, options ...string) command {
	t.Helper()
	c := command{program, options, home, nil}
	// Buildah wants the file of its credentials to be there.
	if err := os.WriteFile(c.credentials(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c command) credentials() string { return filepath.Join(c.home, "auth.json") }

// run runs the program and returns what it printed.
func (c command) run(ctx context.Context, arguments ...string) (string, error) {
	return c.feed(ctx, "", arguments...)
}

// feed runs the program with something to read, for what must not be seen on
// a command line.
func (c command) feed(ctx context.Context, input string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.program, slices.Concat(c.options, arguments)...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "HOME="+c.home, "REGISTRY_AUTH_FILE="+c.credentials())
	cmd.Env = append(cmd.Env, c.env...)
	return testbed.Run(cmd)
}

// do is run for commands whose output says nothing.
func (c command) do(ctx context.Context, arguments ...string) error {
	_, err := c.run(ctx, arguments...)
	return err
}

// tag is how all of the tools do it that have a store.
func (c command) tag(ctx context.Context, ref, further string) error {
	return c.do(ctx, "tag", ref, further)
}

// account is how all of the tools log in and out.
type account struct{ command }

func (a account) login(ctx context.Context, host, user, password string) error {
	_, err := a.feed(ctx, password, "login", "--username", user, "--password-stdin", host)
	return err
}

func (a account) asksAtLogin() bool { return true }

func (a account) logout(ctx context.Context, host string) error {
	return a.do(ctx, "logout", host)
}
