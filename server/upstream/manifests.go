package upstream

import (
	"context"
	"fmt"
	"io"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// GetManifest reads a manifest of at most oci.MaxManifestSize bytes, which has the
// digest that it is asked for by. One that is asked for by tag gets a digest of
// sha256, and has the one that the upstream names. MANIFEST_UNKNOWN if it is not
// there.
func (r *Registry) GetManifest(ctx context.Context, repository string, ref oci.Reference) (oci.Manifest, error) {
	a := about{repository, "manifest " + ref.String(), oci.ManifestUnknown}
	m, err := r.getManifest(ctx, a, ref)
	return m, r.fault(ctx, err, a)
}

func (r *Registry) getManifest(ctx context.Context, a about, ref oci.Reference) (oci.Manifest, error) {
	repo, doc, err := r.repository(a)
	if err != nil {
		return oci.Manifest{}, err
	}
	algorithm := oci.SHA256
	if ref.IsDigest() {
		algorithm = ref.Digest.Algorithm()
	}
	doc.digests = algorithm
	said, body, err := repo.Manifests().FetchReference(ctx, ref.String())
	if err != nil {
		return oci.Manifest{}, doc.fault(err)
	}
	content, err := io.ReadAll(body) // it is in memory
	if err != nil {
		return oci.Manifest{}, err
	}
	m, err := oci.NewManifest(said.MediaType, content, algorithm)
	if err != nil {
		return oci.Manifest{}, &complaint{"answers with something that is no manifest", err}
	}
	want := said.Digest.String()
	if ref.IsDigest() {
		want = ref.Digest.String()
	}
	// A tag may be called by a digest of another kind, which is not ours to check.
	if strings.HasPrefix(want, string(algorithm)+":") && want != m.Digest.String() {
		return oci.Manifest{}, &complaint{"sends a manifest of another digest than it should have",
			fmt.Errorf("%s, not %s", m.Digest, want)}
	}
	return m, nil
}

// StatManifest describes a manifest, by HEAD, which Docker Hub does not count as a
// pull. Where the answer to that does not say enough, it gets the manifest.
// MANIFEST_UNKNOWN if it is not there.
func (r *Registry) StatManifest(ctx context.Context, repository string, ref oci.Reference) (oci.Descriptor, error) {
	a := about{repository, "manifest " + ref.String(), oci.ManifestUnknown}
	d, enough, err := r.statManifest(ctx, a, ref)
	if err == nil && !enough {
		m, err := r.GetManifest(ctx, repository, ref)
		return m.Descriptor, err
	}
	return d, r.fault(ctx, err, a)
}

// statManifest has no error for an answer that does not say enough.
func (r *Registry) statManifest(ctx context.Context, a about, ref oci.Reference) (d oci.Descriptor, enough bool, err error) {
	repo, doc, err := r.repository(a)
	if err != nil {
		return d, false, err
	}
	said, err := repo.Manifests().Resolve(ctx, ref.String())
	switch {
	case needsGet(err):
		return d, false, nil
	case doc.header == nil:
		return d, false, err
	case err != nil || doc.header.Get(digestHeader) == "" || !isMediaType(said.MediaType):
		return d, false, nil
	}
	digest, err := oci.ParseDigest(said.Digest.String())
	if err != nil || said.Size > oci.MaxManifestSize {
		return d, false, nil
	}
	return oci.Descriptor{MediaType: said.MediaType, Digest: digest, Size: said.Size}, true, nil
}
