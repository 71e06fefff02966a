package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// client is a container tool, driven through the commands that its users type.
// What it can do is in the further interfaces: a scenario is for the tools that
// have those which it needs. Each is a store or a builder; who pushes or deletes is
// an account, too; carriers, converters, listers, deleters and attachers are stores. A ref is what users would name an image by,
// registry.test:9000/zuul/app:tag; an error holds all that the tool said.
type client interface {
	version(ctx context.Context) (string, error)
}

// account is what knows passwords.
type account interface {
	login(ctx context.Context, host, user, password string) error
	logout(ctx context.Context, host string) error
	// asksAtLogin says whether login asks the host. A tool that does not keeps
	// what it was told, and finds out when it pushes.
	asksAtLogin() bool
}

// store is what has images of its own.
type store interface {
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

// rename gives an image another name, if there was no error before.
func rename(ctx context.Context, in store, err error, from, to string) error {
	if err != nil {
		return err
	}
	return errors.Join(in.tag(ctx, from, to), in.remove(ctx, from))
}

// sparing is a tool that asks as nobody, before it pushes, what a tag is, and
// pushes nothing if that is what it has. So it cannot make an upstream's image
// one that was pushed.
type sparing interface{ spares() }

// carrier is a store that keeps images, and lists of them, as they are.
type carrier interface {
	carry(ctx context.Context, layout testbed.Layout, ref string) error
}

// converter is a store that makes the images of a registry from what it has.
type converter interface {
	// pushAs pushes an image in a format.
	pushAs(ctx context.Context, ref string, format testbed.Format) error
}

// lister is a tool that makes a list of images which are for several platforms.
type lister interface {
	pushList(ctx context.Context, list string, images ...string) error
}

// mirrored is a tool that asks the registry before others.
type mirrored interface {
	namespaces() []string // for whose names it does so
}

// mirroredAll is what tools have in them that can ask mirrors for every namespace.
type mirroredAll struct{}

func (mirroredAll) namespaces() []string { return []string{"docker.io", "quay.io"} }

// builder is a tool that builds.
type builder interface {
	// build builds an image and leaves nothing that would spare the next build a
	// question to the registry. It returns all that was printed.
	build(ctx context.Context, dockerfile string) (string, error)
}

// publisher is a tool that pushes what it builds.
type publisher interface {
	// publish builds an image and pushes it as ref. It leaves what build does.
	publish(ctx context.Context, dockerfile, ref string) error
}

// deleter is a tool that deletes a tag or a manifest in a registry.
type deleter interface {
	delete(ctx context.Context, ref string) error
}

// attacher is a tool for artifacts that refer to an image.
type attacher interface {
	// attach attaches an artifact of a type to an image in a registry.
	attach(ctx context.Context, ref, artifactType, content string) error
	// referrers is what the tool prints of what refers to an image.
	referrers(ctx context.Context, ref string) (string, error)
}

// onTopOf is a Dockerfile that runs the program of an image.
func onTopOf(image testbed.Image, ref string) string {
	return fmt.Sprintf("FROM %s\nRUN [%q]\n", ref, image.Command[0])
}

// command is a tool's program on its host, with the environment that keeps its
// settings in a folder.
type command struct {
	host    testbed.Workshop
	program string
	env     []string
}

// newCommand is a program that has its settings and credentials in the folder
// of its host.
func newCommand(t *testing.T, host testbed.Workshop, program string) command {
	t.Helper()
	c := command{host: host, program: program}
	c.env = []string{"HOME=" + host.Folder, "REGISTRY_AUTH_FILE=" + c.credentials()}
	// Buildah wants the file of its credentials to be there.
	must(t, os.WriteFile(c.credentials(), []byte("{}"), 0o600))
	return c
}

func (c command) credentials() string { return filepath.Join(c.host.Folder, "auth.json") }

// run runs the program and returns what it printed.
func (c command) run(ctx context.Context, arguments ...string) (string, error) {
	return c.feed(ctx, "", arguments...)
}

// feed runs the program with something to read, for what must not be seen on
// a command line.
func (c command) feed(ctx context.Context, input string, arguments ...string) (string, error) {
	ctx, release := context.WithTimeout(ctx, tooLong)
	defer release()
	return testbed.Run(c.command(ctx, input, arguments))
}

// tooLong is when a tool that hangs is given up.
const tooLong = 5 * time.Minute

func (c command) command(ctx context.Context, input string, arguments []string) *exec.Cmd {
	cmd := c.host.Command(ctx, c.env, append([]string{c.program}, arguments...)...)
	cmd.Stdin = strings.NewReader(input)
	return cmd
}

// hear is feed for what says as complaints what it does.
func (c command) hear(ctx context.Context, input string, arguments ...string) (string, error) {
	ctx, release := context.WithTimeout(ctx, tooLong)
	defer release()
	cmd := c.command(ctx, input, arguments)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said)
	}
	return string(said), nil
}

// do is run for commands whose output says nothing.
func (c command) do(ctx context.Context, arguments ...string) error {
	_, err := c.run(ctx, arguments...)
	return err
}

// tag is how most of the tools do it that have a store.
func (c command) tag(ctx context.Context, ref, further string) error {
	return c.do(ctx, "tag", ref, further)
}

// version is how most of the tools tell theirs.
func (c command) version(ctx context.Context) (string, error) {
	if c.program == filepath.Base(c.program) {
		return c.versionOf(ctx, "--version")
	}
	return programVersion(filepath.Base(c.program)), nil
}

// versionOf is the first version that the program tells, without Debian's
// revision.
func (c command) versionOf(ctx context.Context, arguments ...string) (string, error) {
	said, err := c.run(ctx, arguments...)
	if err != nil {
		return "", err
	}
	version := regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(said)
	if version == "" {
		return "", fmt.Errorf("%s says no version, but: %s", c.program, said)
	}
	return version, nil
}

// accounts is how most of the tools log in and out.
type accounts struct{ command }

func (a accounts) login(ctx context.Context, host, user, password string) error {
	_, err := a.feed(ctx, password, "login", "--username", user, "--password-stdin", host)
	return err
}

func (a accounts) asksAtLogin() bool { return true }

func (a accounts) logout(ctx context.Context, host string) error {
	return a.do(ctx, "logout", host)
}
