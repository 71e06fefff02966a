package local

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// StatBlob describes a blob of the name's area.
func (r *Registry) StatBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Descriptor, error) {
	info, err := r.driver.Stat(ctx, blobName(name.Area, d))
	if err != nil {
		return oci.Descriptor{}, orUnknown(err, oci.BlobUnknown, "blob "+d.String())
	}
	return describeBlob(d, info.Size), nil
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
	return oci.Blob{Descriptor: describeBlob(d, info.Size), Content: f}, nil
}

// MountBlob finds a blob in the area, which all its repositories share.
func (r *Registry) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	if !from.IsZero() && from.Area != name.Area {
		return oci.Descriptor{}, oci.Errorf(oci.BlobUnknown, "blobs of %s are not shared with %s", from, name)
	}
	return r.renewBlob(ctx, name.Area, d)
}

// young is the age up to which a blob needs no renewal.
const young = 10 * time.Minute

// renewBlob makes a blob young that a pusher is told exists.
func (r *Registry) renewBlob(ctx context.Context, area string, d oci.Digest) (oci.Descriptor, error) {
	info, err := r.driver.Stat(ctx, blobName(area, d))
	if err == nil && time.Since(info.Modified) > young {
		err = r.driver.Touch(ctx, blobName(area, d))
	}
	if err != nil {
		return oci.Descriptor{}, orUnknown(err, oci.BlobUnknown, "blob "+d.String())
	}
	return describeBlob(d, info.Size), nil
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
	if _, err := r.StatBlob(ctx, name, d); err != nil {
		return err
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
			if err != nil {
				return "", err
			}
			if err := ctx.Err(); err != nil {
				return "", err
			}
			target, err := r.resolve(ctx, name, ref)
			if errors.Is(err, oci.ManifestUnknown) {
				continue // deleted meanwhile
			}
			if err != nil {
				return "", err
			}
			if seen[target.Digest] {
				continue
			}
			seen[target.Digest] = true
			if needs, err := r.needs(ctx, area, target.Digest, d); err != nil || needs {
				return name.String() + "@" + target.Digest.String(), err
			}
		}
	}
	return "", nil
}

// needs says whether a manifest is, or refers to, a blob.
func (r *Registry) needs(ctx context.Context, area string, manifest, blob oci.Digest) (bool, error) {
	if manifest == blob {
		return true, nil
	}
	refs, err := r.references(ctx, area, manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, b := range refs.Blobs {
		if b.Digest == blob {
			return true, nil
		}
	}
	return false, nil
}
