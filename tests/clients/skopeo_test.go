package clients

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// skopeo is Skopeo. It copies between places, so its store here is a folder
// with an image's files in one folder each.
type skopeo struct {
	accounts
	mirroredAll
	store string
}

func startSkopeo(t *testing.T, p *place) client {
	host := p.site.StartWorkshop(t, "skopeo")
	s := skopeo{accounts: accounts{newCommand(t, host, "skopeo")}, store: filepath.Join(host.Folder, "store")}
	must(t, os.Mkdir(s.store, 0o755))
	return s
}

func (s skopeo) folder(ref string) string { return filepath.Join(s.store, fileName(ref)) }

// copy copies all images of a list.
func (s skopeo) copy(ctx context.Context, from, to string) error {
	return s.do(ctx, "copy", "--all", from, to)
}

func (s skopeo) load(ctx context.Context, image testbed.Image, ref string) error {
	return s.copy(ctx, "docker-archive:"+image.Archive, "dir:"+s.folder(ref))
}

func (s skopeo) carry(ctx context.Context, layout testbed.Layout, ref string) error {
	return s.copy(ctx, "oci:"+layout.Dir, "dir:"+s.folder(ref))
}

func (s skopeo) tag(ctx context.Context, ref, further string) error {
	return s.copy(ctx, "dir:"+s.folder(ref), "dir:"+s.folder(further))
}

func (s skopeo) push(ctx context.Context, ref string) error {
	return s.copy(ctx, "dir:"+s.folder(ref), "docker://"+ref)
}

func (s skopeo) pull(ctx context.Context, ref string) error {
	return wholly(s.folder(ref), s.copy(ctx, "docker://"+ref, "dir:"+s.folder(ref)))
}

func (s skopeo) delete(ctx context.Context, ref string) error {
	return s.do(ctx, "delete", "docker://"+ref)
}

func (s skopeo) remove(_ context.Context, ref string) error { return os.RemoveAll(s.folder(ref)) }

func (s skopeo) id(_ context.Context, ref string) (string, error) {
	manifest, err := s.manifest(ref)
	return manifest.Config.Digest, err
}

func (s skopeo) digest(ctx context.Context, ref string) (string, error) {
	return s.run(ctx, "manifest-digest", filepath.Join(s.folder(ref), "manifest.json"))
}

// use compares the bytes of every layer with the original's.
func (s skopeo) use(_ context.Context, image testbed.Image, ref string) (string, error) {
	manifest, err := s.manifest(ref)
	if err != nil {
		return "", err
	}
	return manifest.compare(image, func(digest string) string { return filepath.Join(s.folder(ref), encoded(digest)) })
}

// manifest is that of an image, or of the first one of a list.
func (s skopeo) manifest(ref string) (imageManifest, error) {
	manifest, err := readManifest(filepath.Join(s.folder(ref), "manifest.json"))
	if err == nil && len(manifest.Manifests) > 0 {
		return readManifest(filepath.Join(s.folder(ref), encoded(manifest.Manifests[0].Digest)+".manifest.json"))
	}
	return manifest, err
}

func readManifest(file string) (manifest imageManifest, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return manifest, err
	}
	return manifest, json.Unmarshal(content, &manifest)
}
