package upstream

import (
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// StatManifest describes a manifest, by HEAD. MANIFEST_UNKNOWN or UNAVAILABLE.
func (r *Registry) StatManifest(ctx context.Context, repository string, ref oci.Reference) (oci.Descriptor, error) {
	q := r.ask(ctx, repository, "manifest "+ref.String(), oci.ManifestUnknown)
	defer q.end()
	repo, err := q.open()
	if err != nil {
		return oci.Descriptor{}, err
	}
	there, err := repo.Manifests().Resolve(q.ctx, ref.String())
	if err != nil {
		return oci.Descriptor{}, q.fault(err)
	}
	d, err := oci.ParseDigest(there.Digest.String())
	if err != nil {
		return oci.Descriptor{}, q.bad(err, "calls it by a digest that is none")
	}
	return oci.Descriptor{MediaType: there.MediaType, Digest: d, Size: there.Size}, nil
}

// GetManifest reads a manifest, and verifies its digest. MANIFEST_UNKNOWN or
// UNAVAILABLE.
func (r *Registry) GetManifest(ctx context.Context, repository string, ref oci.Reference) (oci.Manifest, error) {
	q := r.ask(ctx, repository, "manifest "+ref.String(), oci.ManifestUnknown)
	defer q.end()
	repo, err := q.open()
	if err != nil {
		return oci.Manifest{}, err
	}
	there, body, err := repo.Manifests().FetchReference(q.ctx, ref.String())
	if err != nil {
		return oci.Manifest{}, q.fault(err)
	}
	content, err := q.read(body, there.Size)
	if err != nil {
		return oci.Manifest{}, err
	}
	return q.manifest(there, content, ref)
}

// read reads a body of that size.
func (q *query) read(body io.ReadCloser, size int64) ([]byte, error) {
	defer func() { _ = body.Close() }()
	if size > oci.MaxManifestSize {
		return nil, q.bad(fmt.Errorf("%d bytes", size), "has one of more than %d bytes", oci.MaxManifestSize)
	}
	content := make([]byte, 0, size+1)
	for int64(len(content)) <= size {
		q.progress()
		n, err := body.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, q.fault(err)
		}
	}
	if int64(len(content)) != size {
		return nil, q.bad(fmt.Errorf("%d bytes were announced, %d came", size, len(content)), "does not send all of it")
	}
	return content, nil
}

// manifest is what the content is, if it is what was asked for.
func (q *query) manifest(there ocispec.Descriptor, content []byte, ref oci.Reference) (oci.Manifest, error) {
	expected, err := oci.ParseDigest(there.Digest.String())
	if err != nil {
		return oci.Manifest{}, q.bad(err, "calls it by a digest that is none")
	}
	if ref.IsDigest() {
		expected = ref.Digest
	}
	m, err := oci.NewManifest(there.MediaType, content, expected.Algorithm())
	if err != nil {
		return oci.Manifest{}, q.bad(err, "answers with something that is no manifest")
	}
	if m.Digest != expected {
		return oci.Manifest{}, q.bad(fmt.Errorf("the content's digest is %s, and not %s", m.Digest, expected), "sends another one")
	}
	return m, nil
}
