package clients

import (
	"context"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// crane is the command of go-containerregistry. It asks no mirrors.
type crane struct{ layouts }

func startCrane(t *testing.T, w *place) client {
	host := w.site.StartWorkshop(t, w.engine, "crane")
	c := newCommand(t, host, w.bed.Tool(t, "crane"))
	// It trusts whom the machine trusts.
	c.env = append(c.env, "SSL_CERT_DIR="+testbed.TrustedDir)
	return crane{layouts{c, w.bed}}
}

func (c crane) login(ctx context.Context, host, user, password string) error {
	_, err := c.feed(ctx, password, "auth", "login", "--username", user, "--password-stdin", host)
	return err
}

func (c crane) asksAtLogin() bool { return false }

func (c crane) logout(ctx context.Context, host string) error {
	return c.do(ctx, "auth", "logout", host)
}

func (c crane) push(ctx context.Context, ref string) error {
	return c.do(ctx, "push", c.layout(ref), ref)
}

func (c crane) pull(ctx context.Context, ref string) error {
	return wholly(c.layout(ref), c.do(ctx, "pull", "--format", "oci", ref, c.layout(ref)))
}

func (c crane) delete(ctx context.Context, ref string) error { return c.do(ctx, "delete", ref) }
