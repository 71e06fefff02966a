package clients

import (
	"context"
	"testing"
)

// crane is the command of go-containerregistry. It asks no mirrors.
type crane struct{ layouts }

func startCrane(t *testing.T, p *place) client { return crane{newLayouts(t, p, "crane")} }

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
