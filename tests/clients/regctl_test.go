package clients

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// regctl is the command of regclient. It knows a mirror as a host with a prefix
// before its paths.
type regctl struct {
	layouts
	mirroredAll
}

const regctlConfig = `{"hosts": {
  "docker.io": {"mirrors": ["mirror-of-docker.io"]},
  "quay.io": {"mirrors": ["mirror-of-quay.io"]},
  "mirror-of-docker.io": {"hostname": "` + testbed.RegistryHost + `", "pathPrefix": "docker.io"},
  "mirror-of-quay.io": {"hostname": "` + testbed.RegistryHost + `", "pathPrefix": "quay.io"}
}}
`

func startRegctl(t *testing.T, p *place) client {
	host := p.site.StartWorkshop(t, "regctl")
	c := newCommand(t, host, p.bed.Tool(t, "regctl"))
	file := filepath.Join(host.Folder, "regctl.json")
	must(t, os.WriteFile(file, []byte(regctlConfig), 0o600))
	c.env = append(c.env, "REGCTL_CONFIG="+file)
	return regctl{layouts: layouts{c, p.bed}}
}

func (r regctl) spares() {}

func (r regctl) login(ctx context.Context, host, user, password string) error {
	_, err := r.feed(ctx, password, "registry", "login", "--user", user, "--pass-stdin", host)
	return err
}

func (r regctl) asksAtLogin() bool { return true }

func (r regctl) logout(ctx context.Context, host string) error {
	return r.do(ctx, "registry", "logout", host)
}

func (r regctl) inStore(ref string) string { return "ocidir://" + r.layout(ref) + ":latest" }

func (r regctl) push(ctx context.Context, ref string) error {
	return r.do(ctx, "image", "copy", r.inStore(ref), ref)
}

func (r regctl) pull(ctx context.Context, ref string) error {
	return wholly(r.layout(ref), r.do(ctx, "image", "copy", ref, r.inStore(ref)))
}

func (r regctl) attach(ctx context.Context, ref, artifactType, content string) error {
	_, err := r.feed(ctx, content, "artifact", "put", "--subject", ref, "--artifact-type", artifactType)
	return err
}

func (r regctl) referrers(ctx context.Context, ref string) (string, error) {
	return r.run(ctx, "artifact", "list", ref)
}

func (r regctl) delete(ctx context.Context, ref string) error { return r.do(ctx, "tag", "delete", ref) }
