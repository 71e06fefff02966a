package clients

import (
	"context"
	"testing"
)

// artifact is a tool on top of oras-go. It asks no mirrors.
type artifact struct{ layouts }

func startArtifact(t *testing.T, p *place) client { return artifact{newLayouts(t, p, "artifact")} }

func (a artifact) version(ctx context.Context) (string, error) {
	return a.versionOf(ctx, "version")
}

func (a artifact) login(ctx context.Context, host, user, password string) error {
	_, err := a.feed(ctx, password, "login", host, user)
	return err
}

func (a artifact) asksAtLogin() bool { return true }

func (a artifact) logout(ctx context.Context, host string) error { return a.do(ctx, "logout", host) }

func (a artifact) push(ctx context.Context, ref string) error {
	return a.do(ctx, "push", a.layout(ref), ref)
}

func (a artifact) pull(ctx context.Context, ref string) error {
	return wholly(a.layout(ref), a.do(ctx, "pull", ref, a.layout(ref)))
}

func (a artifact) attach(ctx context.Context, ref, artifactType, content string) error {
	_, err := a.feed(ctx, content, "attach", ref, artifactType)
	return err
}

func (a artifact) referrers(ctx context.Context, ref string) (string, error) {
	return a.run(ctx, "referrers", ref)
}

func (a artifact) delete(ctx context.Context, ref string) error { return a.do(ctx, "delete", ref) }
