package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// layouts are the store of a tool that has none: it copies between registries
// and OCI image layouts, of which each image here has one.
type layouts struct {
	command
	bed *testbed.Bed
}

// newLayouts is for a tool that trusts whom the machine trusts, which is the
// registry here.
func newLayouts(t *testing.T, p *place, program string) layouts {
	t.Helper()
	c := newCommand(t, p.site.StartWorkshop(t, program), p.bed.Tool(t, program))
	c.env = append(c.env, "SSL_CERT_DIR="+testbed.TrustedDir)
	return layouts{c, p.bed}
}

func (l layouts) layout(ref string) string {
	return filepath.Join(l.host.Folder, "store", fileName(ref))
}

// fileName is a name for files, not all of which may be called like images.
func fileName(ref string) string { return strings.NewReplacer("/", "_", ":", "_").Replace(ref) }

// wholly leaves nothing of what was not got whole.
func wholly(folder string, err error) error {
	if err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	return nil
}

func (l layouts) load(_ context.Context, image testbed.Image, ref string) error {
	layout, err := l.bed.Layout(image, testbed.Format{})
	if err != nil {
		return err
	}
	return copyLayout(layout.Dir, l.layout(ref))
}

func (l layouts) carry(_ context.Context, layout testbed.Layout, ref string) error {
	return copyLayout(layout.Dir, l.layout(ref))
}

func (l layouts) tag(_ context.Context, ref, further string) error {
	return copyLayout(l.layout(ref), l.layout(further))
}

// copyLayout copies a layout, but not the bytes of its blobs.
func copyLayout(from, to string) error {
	blobs := filepath.Join(to, "blobs/sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	all, err := filepath.Glob(filepath.Join(from, "blobs/sha256/*"))
	if err != nil {
		return err
	}
	for _, blob := range all {
		if err := os.Link(blob, filepath.Join(blobs, filepath.Base(blob))); err != nil {
			return err
		}
	}
	for _, file := range []string{"oci-layout", "index.json"} {
		content, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, file), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (l layouts) remove(_ context.Context, ref string) error { return os.RemoveAll(l.layout(ref)) }

// digest is that of the only image in the index, or of the one that is tagged:
// oras-go lists those below it, too.
func (l layouts) digest(_ context.Context, ref string) (string, error) {
	index, err := readManifest(filepath.Join(l.layout(ref), "index.json"))
	if err != nil {
		return "", err
	}
	for _, image := range index.Manifests {
		if len(index.Manifests) == 1 || image.Annotations[ocispec.AnnotationRefName] == "latest" {
			return image.Digest, nil
		}
	}
	return "", fmt.Errorf("%s is not one image: %v", ref, index.Manifests)
}

func (l layouts) id(ctx context.Context, ref string) (string, error) {
	manifest, err := l.manifest(ctx, ref)
	return manifest.Config.Digest, err
}

func (l layouts) blob(ref, digest string) string {
	return filepath.Join(l.layout(ref), "blobs/sha256", encoded(digest))
}

// manifest is that of an image, or of the first one of a list.
func (l layouts) manifest(ctx context.Context, ref string) (imageManifest, error) {
	digest, err := l.digest(ctx, ref)
	if err != nil {
		return imageManifest{}, err
	}
	manifest, err := readManifest(l.blob(ref, digest))
	if err == nil && len(manifest.Manifests) > 0 {
		return readManifest(l.blob(ref, manifest.Manifests[0].Digest))
	}
	return manifest, err
}

// use compares the bytes of every layer with the original's.
func (l layouts) use(ctx context.Context, image testbed.Image, ref string) (string, error) {
	manifest, err := l.manifest(ctx, ref)
	if err != nil {
		return "", err
	}
	return manifest.compare(image, func(digest string) string { return l.blob(ref, digest) })
}
