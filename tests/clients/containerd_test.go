package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// containerd is ctr with a daemon of its own. It has no login: who pushes says
// it with each push.
type containerd struct {
	command
	mirroredAll
	user string
}

func startContainerd(t *testing.T, p *place) client {
	return newContainerd(t, p, "ctr", "containerd")
}

// startContainerd2 is the version whose daemon, and not ctr, speaks with
// registries.
func startContainerd2(t *testing.T, p *place) client {
	return newContainerd(t, p, p.bed.Tool(t, "ctr"), withPrograms(t, p, "containerd", "containerd-shim-runc-v2")...)
}

func newContainerd(t *testing.T, p *place, program string, daemon ...string) client {
	t.Helper()
	host := p.site.StartWorkshop(t, "containerd", append(daemon, "--log-level", "warn")...)
	c := &containerd{command: newCommand(t, host, program)}
	host.Await(t, time.Minute, func() error { return c.do(t.Context(), "version") })
	return c
}

func (c *containerd) login(_ context.Context, _, user, password string) error {
	c.user = user + ":" + password
	return nil
}

func (c *containerd) logout(context.Context, string) error {
	c.user = ""
	return nil
}

func (c *containerd) asksAtLogin() bool { return false }

func (c *containerd) load(ctx context.Context, image testbed.Image, ref string) error {
	return rename(ctx, c, c.do(ctx, "images", "import", "--no-unpack", image.Archive), image.Loaded, ref)
}

// carry imports a layout, which ctr reads as an archive only, and names it by
// its tag.
func (c *containerd) carry(ctx context.Context, layout testbed.Layout, ref string) error {
	archive := layout.Dir + ".tar"
	if err := layout.Archive(ctx, archive); err != nil {
		return err
	}
	const name = "localhost/carried"
	return rename(ctx, c, c.do(ctx, "images", "import", "--base-name", name, "--all-platforms", "--no-unpack", archive), name+":latest", ref)
}

func (c *containerd) tag(ctx context.Context, ref, further string) error {
	return c.do(ctx, "images", "tag", ref, further)
}

func (c *containerd) push(ctx context.Context, ref string) error {
	return c.ask(ctx, "push", ref)
}

// pull gets all images of a list.
func (c *containerd) pull(ctx context.Context, ref string) error {
	return c.ask(ctx, "pull", "--all-platforms", ref)
}

// ask is for what is done with a registry.
func (c *containerd) ask(ctx context.Context, what ...string) error {
	arguments := []string{"images", what[0], "--hosts-dir", testbed.HostsDir, "--user", c.user}
	return c.do(ctx, append(arguments, what[1:]...)...)
}

// remove waits until the content is gone, too, so that nothing of it is there
// for the next pull.
func (c *containerd) remove(ctx context.Context, ref string) error {
	return c.do(ctx, "images", "remove", "--sync", ref)
}

func (c *containerd) id(ctx context.Context, ref string) (string, error) {
	digest, err := c.digest(ctx, ref)
	if err != nil {
		return "", err
	}
	return c.config(ctx, digest)
}

// config is the digest of the config of what a digest names: a manifest, or
// the one of an index that is for this machine.
func (c *containerd) config(ctx context.Context, digest string) (string, error) {
	content, err := c.run(ctx, "content", "get", digest)
	if err != nil {
		return "", err
	}
	return configIn(content, func(digest string) (string, error) { return c.config(ctx, digest) })
}

func (c *containerd) digest(ctx context.Context, ref string) (string, error) {
	list, err := c.run(ctx, "images", "list", "name=="+ref)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(list) {
		// After a line of headings: name, media type, digest and more.
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == ref {
			return fields[2], nil
		}
	}
	return "", fmt.Errorf("containerd has no %s", ref)
}

// use has what is printed written to a file: ctr itself may end before it has
// read all of it.
func (c *containerd) use(ctx context.Context, _ testbed.Image, ref string) (string, error) {
	log := filepath.Join(c.host.Folder, "log")
	if err := c.do(ctx, "run", "--rm", "--log-uri", "file://"+log, ref, "user"); err != nil {
		return "", err
	}
	said, err := os.ReadFile(log)
	return strings.TrimSuffix(string(said), "\n"), errors.Join(err, os.Remove(log))
}
