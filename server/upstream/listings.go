package upstream

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// Tags lists all tags of a repository in ascending byte order. What is no tag by
// the specification is left out. NAME_UNKNOWN if the repository is not there.
func (r *Registry) Tags(ctx context.Context, repository string) ([]oci.Tag, error) {
	a := about{repository, "tags", oci.NameUnknown}
	return through(ctx, r, a, func(repo *remote.Repository, _ *document) (all []oci.Tag, err error) {
		begun := map[string]bool{} // by the first entries of pages
		err = repo.Tags(ctx, "", func(page []string) error {
			if len(page) > 0 {
				if begun[page[0]] {
					return &complaint{words: "has a list of tags that leads in a circle"}
				}
				begun[page[0]] = true
			}
			for _, text := range page {
				if tag, err := oci.ParseTag(text); err == nil {
					all = append(all, tag)
				}
			}
			return nil
		})
		slices.SortFunc(all, func(a, b oci.Tag) int { return cmp.Compare(a.String(), b.String()) })
		return slices.Compact(all), err
	})
}

// Referrers lists the manifests whose subject is a digest, in the order of their
// own, by the referrers API or by the referrers tag schema. What is no descriptor
// is left out. There need be none, nor the repository.
func (r *Registry) Referrers(ctx context.Context, repository string, subject oci.Digest) ([]oci.Descriptor, error) {
	a := about{repository, "referrers of " + subject.String(), oci.NameUnknown}
	referrers, err := through(ctx, r, a, func(repo *remote.Repository, _ *document) (all []oci.Descriptor, err error) {
		collect := func() error {
			all = nil
			return repo.Referrers(ctx, ocispec.Descriptor{Digest: digest.Digest(subject.String())}, "", func(page []ocispec.Descriptor) error {
				for _, d := range page {
					if d, ok := descriptor(d); ok {
						all = append(all, d)
					}
				}
				return nil
			})
		}
		// Of answers that mean that there is no such API, oras knows 404.
		if err = collect(); peer.IsNotOffered(err, http.MethodGet) && repo.SetReferrersCapability(false) == nil {
			err = collect()
		}
		slices.SortStableFunc(all, func(a, b oci.Descriptor) int { return cmp.Compare(a.Digest.String(), b.Digest.String()) })
		return slices.CompactFunc(all, func(a, b oci.Descriptor) bool { return a.Digest == b.Digest }), err
	})
	if errors.Is(err, oci.NameUnknown) {
		return nil, nil
	}
	return referrers, err
}

// descriptor is ours for oras'. There is none for one that is malformed.
func descriptor(d ocispec.Descriptor) (oci.Descriptor, bool) {
	parsed, err := oci.ParseDigest(d.Digest.String())
	if err != nil || d.Size < 0 || !isMediaType(d.MediaType) {
		return oci.Descriptor{}, false
	}
	return oci.Descriptor{
		MediaType: d.MediaType, Digest: parsed, Size: d.Size,
		ArtifactType: d.ArtifactType, Annotations: d.Annotations,
	}, true
}
