package upstream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Limits of listings.
const (
	pageSize  = 1000 // entries that are asked for at once
	mostPages = 1000
	mostItems = 200_000
)

// Tags lists all tags, in order and each once; those that are malformed are left
// out. NAME_UNKNOWN or UNAVAILABLE.
func (r *Registry) Tags(ctx context.Context, repository string) ([]oci.Tag, error) {
	q := r.ask(ctx, repository, "the list of tags", oci.NameUnknown)
	defer q.end()
	repo, err := q.open()
	if err != nil {
		return nil, err
	}
	var all []oci.Tag
	err = repo.Tags(q.ctx, "", func(page []string) error {
		q.progress()
		for _, text := range page {
			if tag, err := oci.ParseTag(text); err == nil {
				all = append(all, tag)
			}
		}
		return tooMany(len(all))
	})
	slices.SortFunc(all, func(a, b oci.Tag) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all), q.fault(err)
}

func tooMany(n int) error {
	if n > mostItems {
		return fmt.Errorf("more than %d entries", mostItems)
	}
	return nil
}

// Referrers lists the manifests with a subject, by ascending digests and each
// once; those that are malformed are left out, and there need be none.
// UNAVAILABLE.
func (r *Registry) Referrers(ctx context.Context, repository string, subject oci.Digest) ([]oci.Descriptor, error) {
	q := r.ask(ctx, repository, "referrers", oci.ManifestUnknown)
	defer q.end()
	repo, err := q.open()
	if err != nil {
		return nil, err
	}
	var all []oci.Descriptor
	err = repo.Referrers(q.ctx, ocispec.Descriptor{Digest: digest.Digest(subject.String())}, "", func(page []ocispec.Descriptor) error {
		q.progress()
		for _, d := range page {
			if referrer, ok := describe(d); ok {
				all = append(all, referrer)
			}
		}
		return tooMany(len(all))
	})
	slices.SortFunc(all, func(a, b oci.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	return slices.CompactFunc(all, func(a, b oci.Descriptor) bool { return a.Digest == b.Digest }), q.fault(err)
}

func describe(d ocispec.Descriptor) (oci.Descriptor, bool) {
	parsed, err := oci.ParseDigest(d.Digest.String())
	return oci.Descriptor{
		MediaType: d.MediaType, Digest: parsed, Size: d.Size, ArtifactType: d.ArtifactType, Annotations: d.Annotations,
	}, err == nil && d.Size >= 0 && d.MediaType != ""
}
