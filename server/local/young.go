package local

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// longestYouth is the greatest age up to which nothing is renewed. It is a small part of
// LeastGrace, so that a server and a prune that were told different ages agree.
const longestYouth = 5 * time.Minute

// LeastGrace is the least Grace of a store that others push to.
const LeastGrace = time.Hour

// youth is the age up to which nothing is renewed. Content that a manifest needs can be
// some times older than its record: what was found young once is not looked at again.
func youth(grace time.Duration) time.Duration {
	const parts = 8
	if grace == 0 {
		grace = LeastGrace
	}
	return min(grace/parts, longestYouth)
}

// renew makes an object young that is not, and describes what was found.
func (r *Registry) renew(ctx context.Context, object string) (storage.Info, error) {
	info, err := r.driver.Stat(ctx, object)
	if err == nil && !r.isYoung(info) {
		err = r.driver.Touch(ctx, object)
	}
	return info, err
}

func (r *Registry) isYoung(info storage.Info) bool { return time.Since(info.Modified) <= r.young }

// replace stores an object in the place of one that prune may be about to remove: who has
// touched it, or found none, is sure of what he stores.
func (r *Registry) replace(ctx context.Context, name string, content []byte, d storage.Durability) error {
	if _, err := r.renew(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.put(ctx, name, content, d)
}

// renewBlob makes a blob young that somebody is told exists.
func (r *Registry) renewBlob(ctx context.Context, area string, d oci.Digest) (oci.Descriptor, error) {
	info, err := r.renew(ctx, blobName(area, d))
	if err != nil {
		return oci.Descriptor{}, orUnknown(err, oci.BlobUnknown, "blob "+d.String())
	}
	return describeBlob(d, info.Size), nil
}

// RenewManifest is StatManifest for a pusher, who need not push what he is told is
// there: it makes that young, and what it needs.
func (r *Registry) RenewManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	if err := r.renewManifest(ctx, name, ref); err != nil {
		return oci.Descriptor{}, err
	}
	return r.StatManifest(ctx, name, ref)
}

// renewManifest makes a manifest young, and what it needs before that: nobody is to look
// again at the needs of a young one. MANIFEST_UNKNOWN if it is not there.
func (r *Registry) renewManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	t, err := r.resolve(ctx, name, ref)
	switch {
	case err != nil:
		return err
	case ref.IsDigest() && t.record != digestName(name, ref.Digest):
		return r.recordDigest(ctx, name, t)
	case r.isYoung(t.info):
		return nil
	}
	if ref.IsDigest() {
		err = r.renewNeeds(ctx, name, t)
	} else { // who is told of a tag goes on with the digest
		err = r.recordDigest(ctx, name, t)
	}
	if err == nil {
		err = r.driver.Touch(ctx, t.record)
	}
	return orUnknown(err, oci.ManifestUnknown, "manifest "+ref.String()+" of "+name.String())
}

// recordDigest records, as a push does, the digest of what another record leads to: who
// relies on a digest must not depend on that one. If that is gone when all is renewed, some
// of the rest may have gone before.
func (r *Registry) recordDigest(ctx context.Context, name oci.Name, t target) error {
	err := r.renewNeeds(ctx, name, t)
	if err == nil {
		_, err = r.driver.Stat(ctx, t.record)
	}
	if err != nil {
		return orUnknown(err, oci.ManifestUnknown, "manifest "+t.Digest.String()+" of "+name.String())
	}
	text, err := record(t.MediaType, t.Digest)
	if err != nil {
		return err
	}
	return r.replace(ctx, digestName(name, t.Digest), text, storage.Durable)
}

// renewNeeds makes the body of a manifest young, and what it needs before that.
func (r *Registry) renewNeeds(ctx context.Context, name oci.Name, t target) error {
	refs, err := r.references(ctx, name.Area, t.Digest)
	if err == nil {
		_, err = r.missing(ctx, name, refs)
	}
	if err == nil && refs.Subject != nil {
		err = r.renewReferrer(ctx, referrerName(name, refs.Subject.Digest, t.Digest))
	}
	if err == nil {
		_, err = r.renew(ctx, blobName(name.Area, t.Digest))
	}
	return err
}

// renewOthers makes young what a manifest describes beside its references, as far as it is
// there: prune takes it for needed.
func (r *Registry) renewOthers(ctx context.Context, name oci.Name, refs oci.References) error {
	renewed := map[oci.Digest]bool{}
	for _, d := range slices.Concat(refs.Blobs, refs.Manifests) {
		renewed[d.Digest] = !d.IsNonDistributable() // which nobody has looked for
	}
	for _, d := range refs.Mentioned {
		if renewed[d] {
			continue
		}
		renewed[d] = true
		err := r.renewManifest(ctx, name, oci.Reference{Digest: d})
		if errors.Is(err, oci.ManifestUnknown) {
			_, err = r.renewBlob(ctx, name.Area, d)
		}
		if err != nil && !errors.Is(err, oci.BlobUnknown) {
			return err
		}
	}
	return nil
}

// renewReferrer makes the entry of a manifest young that has a subject; the original wrote
// none.
func (r *Registry) renewReferrer(ctx context.Context, object string) error {
	_, err := r.renew(ctx, object)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
