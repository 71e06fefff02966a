package local

import (
	"context"
	"errors"
	"slices"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// StatBlob describes a blob of the name's area. Who asks may be about to push what needs
// it: it is as young then as if it had been pushed.
func (r *Registry) StatBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Descriptor, error) {
	return r.renewBlob(ctx, name.Area, d)
}

func describeBlob(d oci.Digest, size int64) oci.Descriptor {
	return oci.Descriptor{MediaType: oci.MediaTypeBlob, Digest: d, Size: size}
}

// OpenBlob opens a blob of the name's area.
func (r *Registry) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	f, info, err := r.driver.Open(ctx, blobName(name.Area, d))
	if err != nil {
		return oci.Blob{}, orUnknown(err, oci.BlobUnknown, "blob "+d.String())
	}
	described := describeBlob(d, info.Size)
	described.Origin = oci.Kept
	return oci.Blob{Descriptor: described, Content: f}, nil
}

// MountBlob finds a blob in the area, which all its repositories share.
func (r *Registry) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	if !from.IsZero() && from.Area != name.Area {
		return oci.Descriptor{}, oci.Errorf(oci.BlobUnknown, "blobs of %s are not shared with %s", from, name)
	}
	return r.renewBlob(ctx, name.Area, d)
}

// longestSearch is how long DeleteBlob may take to find out whether a blob is needed.
const longestSearch = 30 * time.Second

// DeleteBlob removes a blob from the area, unless a manifest there needs it. It
// reads all manifests of the area to find out, and pushes of manifests wait
// meanwhile; UNSUPPORTED where there are too many. Those to other processes do not
// wait, and what they have just stored may not be listed yet: who deletes blobs beside
// them has to know that nobody is pushing what needs them.
func (r *Registry) DeleteBlob(ctx context.Context, name oci.Name, d oci.Digest) error {
	r.removing.Lock()
	defer r.removing.Unlock()
	if _, err := r.driver.Stat(ctx, blobName(name.Area, d)); err != nil {
		return orUnknown(err, oci.BlobUnknown, "blob "+d.String())
	}
	searching, stop := context.WithTimeout(ctx, longestSearch)
	defer stop()
	user, err := r.userOf(searching, name.Area, d)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return oci.Errorf(oci.Unsupported, "blob %s may be needed: there are too many manifests to find out", d)
	}
	if err != nil {
		return err
	}
	if user != "" {
		return oci.Errorf(oci.Unsupported, "blob %s is needed by %s: delete that first", d, user)
	}
	return r.driver.Delete(ctx, blobName(name.Area, d))
}

// userOf names a manifest that needs a blob, or nothing.
func (r *Registry) userOf(ctx context.Context, area string, d oci.Digest) (string, error) {
	seen := map[oci.Digest]bool{}
	for name, err := range r.repositories(ctx, area, "") {
		if err != nil {
			return "", err
		}
		for ref, err := range r.records(ctx, name, "") {
			if err == nil {
				err = ctx.Err()
			}
			var types map[string]oci.Digest
			if err == nil {
				types, _, err = r.types(ctx, recordName(name, ref))
			}
			if err := orNil(err); err != nil { // or it was deleted meanwhile
				return "", err
			}
			for _, manifest := range types {
				if needs, err := r.needs(ctx, area, manifest, d, seen); err != nil || needs {
					return name.String() + "@" + manifest.String(), err
				}
			}
		}
	}
	return "", nil
}

// needs says whether a manifest that was not seen before is, or refers to, a blob, or a
// child of it does.
func (r *Registry) needs(ctx context.Context, area string, manifest, blob oci.Digest, seen map[oci.Digest]bool) (bool, error) {
	if manifest == blob {
		return true, nil
	}
	if seen[manifest] {
		return false, nil
	}
	seen[manifest] = true
	refs, err := r.references(ctx, area, manifest)
	if err != nil {
		return false, orNil(err)
	}
	if slices.Contains(refs.Mentioned, blob) {
		return true, nil
	}
	for _, child := range refs.Manifests {
		if needs, err := r.needs(ctx, area, child.Digest, blob, seen); err != nil || needs {
			return needs, err
		}
	}
	return false, nil
}
