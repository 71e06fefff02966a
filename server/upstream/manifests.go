package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"oras.land/oras-go/v2/registry/remote"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// GetManifest reads a manifest of at most oci.MaxManifestSize bytes, which has the
// digest that it is asked for by. One that is asked for by tag gets a digest of
// sha256, and has the one that the upstream names. MANIFEST_UNKNOWN if it is not
// there.
func (r *Registry) GetManifest(ctx context.Context, repository string, ref oci.Reference) (oci.Manifest, error) {
	a := about{repository, "manifest " + ref.String(), oci.ManifestUnknown}
	return through(ctx, r, a, func(repo *remote.Repository, doc *document) (oci.Manifest, error) {
		return fetchManifest(ctx, repo, doc, ref)
	})
}

func fetchManifest(ctx context.Context, repo *remote.Repository, doc *document, ref oci.Reference) (oci.Manifest, error) {
	doc.digests = oci.SHA256
	if ref.IsDigest() {
		doc.digests = ref.Digest.Algorithm()
	}
	said, body, err := repo.Manifests().FetchReference(ctx, ref.String())
	if err != nil {
		return oci.Manifest{}, err
	}
	content, err := io.ReadAll(body) // it is in memory
	if err != nil {
		return oci.Manifest{}, err
	}
	want := said.Digest.String()
	if ref.IsDigest() {
		want = ref.Digest.String()
	}
	return verify(said.MediaType, content, doc.digests, want)
}

// verify makes a manifest of content that should have a digest.
func verify(mediaType string, content []byte, algorithm oci.Algorithm, want string) (oci.Manifest, error) {
	m, err := oci.NewManifest(mediaType, content, algorithm)
	if err != nil {
		return oci.Manifest{}, &complaint{"answers with something that is no manifest", err}
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
	return through(ctx, r, a, func(repo *remote.Repository, doc *document) (oci.Descriptor, error) {
		said, err := repo.Manifests().Resolve(ctx, ref.String())
		if doc.header == nil && !peer.IsNotOffered(err, http.MethodHead) {
			return oci.Descriptor{}, err
		}
		digest, malformed := oci.ParseDigest(said.Digest.String())
		if err != nil || malformed != nil || doc.header.Get(digestHeader) == "" || !isMediaType(said.MediaType) || said.Size > oci.MaxManifestSize {
			m, err := fetchManifest(ctx, repo, doc, ref)
			return m.Descriptor, err
		}
		return oci.Descriptor{MediaType: said.MediaType, Digest: digest, Size: said.Size}, nil
	})
}
