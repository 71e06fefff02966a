package local

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"sync"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// tree is what the references of a repository need that stay.
type tree struct {
	*mark
	repository
	manifests map[oci.Digest]bool
}

// grow takes in manifests, with all that they need.
func (t *tree) grow(ctx context.Context, manifests []oci.Digest) error {
	for len(manifests) > 0 {
		var next []oci.Digest
		var mu sync.Mutex
		group, reading := crowd(ctx)
		for _, d := range manifests {
			if t.manifests[d] {
				continue
			}
			t.manifests[d] = true
			group.Go(func() error {
				children, err := t.manifest(reading, d)
				mu.Lock()
				defer mu.Unlock()
				next = append(next, children...)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		manifests = next
	}
	return nil
}

// manifest marks what a manifest needs but for the manifests among that, which it
// returns: children, and whatever else the repository has a reference to.
func (t *tree) manifest(ctx context.Context, d oci.Digest) (manifests []oci.Digest, err error) {
	mentions, err := t.mentions(ctx, d)
	t.step()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if t.named[d] {
			t.Log.WarnContext(ctx, "a manifest is not there", "name", t.String(), "digest", d.String())
		}
		return nil, nil
	case err != nil:
		return nil, t.fault(ctx, "it is not known what a manifest needs", blobName(t.Area, d), err)
	}
	t.need(blobName(t.Area, d))
	if !mentions.Subject.IsZero() {
		t.need(referrerName(t.Name, mentions.Subject, d))
	}
	for _, b := range mentions.Needed {
		t.need(blobName(t.Area, b))
		if t.named[b] {
			manifests = append(manifests, b)
		}
	}
	return append(manifests, mentions.Children...), nil
}

// attach takes in those of the old references that belong to the tree, with all that
// these need, and returns the others.
func (t *tree) attach(ctx context.Context, old []reference) (others []reference, err error) {
	if len(old) == 0 {
		return nil, nil
	}
	belongs, err := t.belongs(ctx, old)
	for more := true; more && err == nil; {
		var found []oci.Digest
		others = others[:0]
		for _, ref := range old {
			switch {
			case ref.IsDigest() && t.manifests[ref.Digest]:
			case t.manifests[belongs[ref.Reference]]:
				found = append(found, ref.targets...)
			default:
				others = append(others, ref)
			}
		}
		before := len(t.manifests)
		err = t.grow(ctx, found)
		more = len(t.manifests) > before
	}
	return others, err
}

// belongs says which manifest each reference belongs to that refers to one: a digest by
// its subject, and a tag by what it is called.
func (t *tree) belongs(ctx context.Context, references []reference) (map[oci.Reference]oci.Digest, error) {
	belongs := map[oci.Reference]oci.Digest{}
	var mu sync.Mutex
	group, reading := crowd(ctx)
	for _, ref := range references {
		if !ref.IsDigest() {
			if d, ok := calledAfter(ref.Tag); ok {
				mu.Lock()
				belongs[ref.Reference] = d
				mu.Unlock()
			}
			continue
		}
		if t.manifests[ref.Digest] {
			continue
		}
		group.Go(func() error {
			mentions, err := t.mentions(reading, ref.Digest)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
				return nil // it is of no use to anybody
			}
			if err != nil {
				return t.fault(reading, "it is not known what a manifest belongs to", blobName(t.Area, ref.Digest), err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !mentions.Subject.IsZero() {
				belongs[ref.Reference] = mentions.Subject
			}
			return nil
		})
	}
	return belongs, group.Wait()
}

// A tag may be called after the digest of what it belongs to: the referrers of a
// registry that does not list them ("Referrers Tag Schema" of the distribution
// specification), and the signatures and attestations of cosign.
var calledAfterDigest = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]+)(\..*)?$`)

func calledAfter(t oci.Tag) (oci.Digest, bool) {
	parts := calledAfterDigest.FindStringSubmatch(t.String())
	if parts == nil {
		return oci.Digest{}, false
	}
	d, err := oci.ParseDigest(parts[1] + ":" + parts[2])
	return d, err == nil
}
