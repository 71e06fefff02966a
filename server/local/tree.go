package local

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// tree is what the references of a repository need that stay.
type tree struct {
	*mark
	repository
	manifests map[oci.Digest]bool
	called    map[string]bool // what tags are called that belong to them
}

// grow takes in manifests, with all that they need.
func (t *tree) grow(ctx context.Context, manifests []oci.Digest) error {
	for len(manifests) > 0 {
		next := map[oci.Digest]bool{}
		var mu sync.Mutex
		group, reading := crowd(ctx)
		for _, d := range manifests {
			if t.manifests[d] {
				continue
			}
			t.manifests[d], t.called[called(d)] = true, true
			group.Go(func() error {
				children, err := t.manifest(reading, d)
				mu.Lock()
				defer mu.Unlock()
				for _, c := range children {
					next[c] = true
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		manifests = slices.Collect(maps.Keys(next))
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
	case errors.Is(err, errTooLarge) && !t.named[d]:
		t.need(blobName(t.Area, d)) // it is listed as if it were a manifest
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
// these need, and returns the others, and which of the repository's manifests are below them.
func (t *tree) attach(ctx context.Context, old []reference) (others []reference, below map[oci.Digest][]oci.Digest, err error) {
	if len(old) == 0 {
		return nil, nil, nil
	}
	belongs, below, err := t.relations(ctx, old)
	for more := true; more && err == nil; {
		var found []oci.Digest
		others = others[:0]
		for _, ref := range old {
			switch {
			case ref.IsDigest() && t.manifests[ref.Digest]:
			case ref.IsDigest() && t.manifests[belongs[ref.Digest]], !ref.IsDigest() && t.called[calledAfter(ref.Tag)]:
				found = append(found, ref.targets...)
			default:
				others = append(others, ref)
			}
		}
		before := len(t.manifests)
		err = t.grow(ctx, found)
		more = len(t.manifests) > before
	}
	return others, below, err
}

// relations says which subject each digest has that has one, and which of the repository's
// manifests are in it.
func (t *tree) relations(ctx context.Context, references []reference) (belongs map[oci.Digest]oci.Digest, below map[oci.Digest][]oci.Digest, err error) {
	belongs, below = map[oci.Digest]oci.Digest{}, map[oci.Digest][]oci.Digest{}
	var mu sync.Mutex
	group, reading := crowd(ctx)
	for _, ref := range references {
		if !ref.IsDigest() || t.manifests[ref.Digest] {
			continue
		}
		group.Go(func() error {
			mentions, err := t.mentions(reading, ref.Digest)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) || errors.Is(err, errTooLarge) {
				return nil // it is of no use to anybody
			}
			if err != nil {
				return t.fault(reading, "it is not known what a manifest belongs to", blobName(t.Area, ref.Digest), err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !mentions.Subject.IsZero() {
				belongs[ref.Digest] = mentions.Subject
			}
			for _, b := range mentions.Needed {
				if t.named[b] {
					below[ref.Digest] = append(below[ref.Digest], b)
				}
			}
			return nil
		})
	}
	return belongs, below, group.Wait()
}

// called is what a tag is called that belongs to a manifest: one of the referrers of a
// registry that does not list them ("Referrers Tag Schema" of the distribution
// specification, which wants no more than 64 digits), and the signatures and attestations
// of cosign, up to a period.
func called(d oci.Digest) string {
	const most = 64
	algorithm, digits, _ := strings.Cut(d.String(), ":")
	return algorithm + "-" + digits[:min(len(digits), most)]
}

// calledAfter is the part of a tag that may be what called says of a manifest.
func calledAfter(t oci.Tag) string {
	name, _, _ := strings.Cut(t.String(), ".")
	return name
}
