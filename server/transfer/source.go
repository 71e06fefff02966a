package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// maxManifests is how many bytes the manifests of one image may have, which are
// kept until it is copied. The largest images that are known have a few hundred
// kilobytes.
const maxManifests = 32 << 20

// source is the repository that an image comes from: a content.ReadOnlyStorage
// whose Fetch goes on after accidents.
type source struct {
	*endpoint

	mu        sync.Mutex
	manifests map[digest.Digest][]byte
	size      int64 // of them
}

func (i *image) source() (*source, error) {
	e, err := i.endpoint(&i.run.options.Source, i.job.From)
	return &source{endpoint: e, manifests: map[digest.Digest][]byte{}}, err
}

// Exists is as content.ReadOnlyStorage has it.
func (s *source) Exists(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	there, err := s.repo.Exists(ctx, d)
	return there, s.fault(ctx, err, describe(d))
}

// Fetch opens what is described. A blob is asked for when it is first read.
func (s *source) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if !isManifest(d) {
		return newBody(ctx, s, d), nil
	}
	if s.kept(d) == nil {
		err := s.try(ctx, func() error {
			body, err := s.repo.Manifests().Fetch(ctx, d)
			if err != nil {
				return err
			}
			return s.keep(d, body)
		})
		if err != nil {
			return nil, s.fault(ctx, err, describe(d))
		}
	}
	return io.NopCloser(bytes.NewReader(s.kept(d))), nil
}

// resolve finds the image, and keeps its manifest.
func (s *source) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	var root ocispec.Descriptor
	err := s.try(ctx, func() error {
		found, body, err := s.repo.FetchReference(ctx, s.ref.Reference.String())
		if err != nil {
			return err
		}
		if err := checkType(found.MediaType); err != nil {
			return errors.Join(err, body.Close())
		}
		root = found
		return s.keep(root, body)
	})
	return root, s.fault(ctx, err, "image")
}

// referrers are what refers to a manifest, by the referrers API or by the tag that
// stands for it.
func (s *source) referrers(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	collect := func() (err error) {
		found, err = s.repo.Predecessors(ctx, d)
		return err
	}
	err := s.try(ctx, collect)
	// Of answers that mean that there is no such API, oras knows 404.
	if peer.IsNotOffered(err, http.MethodGet) && s.repo.SetReferrersCapability(false) == nil {
		err = s.try(ctx, collect)
	}
	return found, s.fault(ctx, err, "list of what refers to "+describe(d))
}

// try does something that may be done again, where its answer broke off.
func (s *source) try(ctx context.Context, do func() error) error {
	for failures := 0; ; failures++ {
		if err := do(); err == nil || !isCut(err) || !s.image.patience.again(ctx, failures, err) {
			return err
		}
	}
}

// keep reads a manifest, and closes it.
func (s *source) keep(d ocispec.Descriptor, body io.ReadCloser) error {
	defer func() { _ = body.Close() }() // it was only read
	if d.Size > oci.MaxManifestSize {
		return complaint(fmt.Sprintf("has a manifest of %d bytes: at most %d are copied", d.Size, oci.MaxManifestSize))
	}
	text, err := content.ReadAll(body, d)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size += d.Size; s.size > maxManifests {
		return complaint(fmt.Sprintf("has more than %d bytes of manifests in one image", maxManifests))
	}
	s.manifests[d.Digest] = text
	return nil
}

// kept is a manifest that was read; nil if it was not.
func (s *source) kept(d ocispec.Descriptor) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifests[d.Digest]
}

func isManifest(d ocispec.Descriptor) bool { return slices.Contains(manifestTypes, d.MediaType) }

// describe is what a descriptor is of, for errors.
func describe(d ocispec.Descriptor) string {
	if isManifest(d) {
		return "manifest " + d.Digest.String()
	}
	return "blob " + d.Digest.String()
}

// schema1 are the types of manifests that name no blob by its digest alone, and
// that nobody has made for years.
var schema1 = []string{
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
}

// checkType refuses what cannot be copied as an image.
func checkType(mediaType string) error {
	switch {
	case slices.Contains(schema1, mediaType):
		return complaint("has it in Docker's schema 1 alone, which is not copied: push it there again with a tool of today")
	case !slices.Contains(manifestTypes, mediaType):
		return complaint(fmt.Sprintf("has no image there, but something of the type %.100q", mediaType))
	}
	return nil
}
