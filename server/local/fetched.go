package local

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// FetchedManifest reads a manifest that KeepManifest has kept, and says when the
// upstream last said that the reference is it. MANIFEST_UNKNOWN if there is none.
func (r *Registry) FetchedManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, time.Time, error) {
	m, asOf, err := r.fetchedManifest(ctx, name, ref)
	return m, asOf, orUnknown(err, oci.ManifestUnknown, "manifest "+ref.String()+" of "+name.String())
}

func (r *Registry) fetchedManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, time.Time, error) {
	t, err := r.target(ctx, name.Area, fetchedName(name, ref))
	if errors.Is(err, errDamaged) { // it is fetched again
		err = fs.ErrNotExist
	}
	if err != nil {
		return oci.Manifest{}, time.Time{}, err
	}
	m, err := r.body(ctx, name, t)
	if err == nil && t.Digest.Algorithm().Sum(m.Content) != t.Digest {
		err = fs.ErrNotExist
	}
	if err != nil {
		return oci.Manifest{}, time.Time{}, err
	}
	// The time of a tag says when it was confirmed; that of a digest, when it was wanted.
	_, err = r.renew(ctx, fetchedName(name, oci.Reference{Digest: t.Digest}))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it is on its way out
	}
	return m, t.info.Modified, err
}

// KeepManifest keeps a manifest that was fetched, under its digest and, unless it
// is zero, a tag. What it refers to need not be here. What was pushed is not
// touched.
func (r *Registry) KeepManifest(ctx context.Context, name oci.Name, m oci.Manifest, tag oci.Tag) error {
	text, err := record(m.MediaType, m.Digest)
	if err != nil {
		return err
	}
	// The body may be there and damaged: FetchedManifest says that there is none.
	if err := r.replace(ctx, blobName(name.Area, m.Digest), m.Content, storage.Durable); err != nil {
		return err
	}
	refs := []oci.Reference{{Digest: m.Digest}}
	if tag != (oci.Tag{}) {
		refs = append(refs, oci.Reference{Tag: tag})
	}
	for _, ref := range refs {
		if err := r.replace(ctx, fetchedName(name, ref), text, storage.Volatile); err != nil {
			return err
		}
	}
	return nil
}

// ConfirmManifest notes that the upstream still says what FetchedManifest does.
func (r *Registry) ConfirmManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	err := r.driver.Touch(ctx, fetchedName(name, ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody has just removed it
	}
	return err
}

// ForgetManifest removes what FetchedManifest finds for a reference; the body
// stays.
func (r *Registry) ForgetManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	return r.driver.Delete(ctx, fetchedName(name, ref))
}

// source is a record of where something can be fetched.
type source struct {
	Namespace  string `json:"namespace"`
	Repository string `json:"repository"`
}

// Source is where a blob or manifest can be fetched that PutManifest accepts
// though it is not here. BLOB_UNKNOWN if none is known.
func (r *Registry) Source(ctx context.Context, area string, d oci.Digest) (oci.PublicName, error) {
	text, _, err := r.read(ctx, sourceName(area, d), maxTargetSize)
	if err != nil {
		return oci.PublicName{}, orUnknown(err, oci.BlobUnknown, "blob "+d.String())
	}
	var s source
	if err := json.Unmarshal(text, &s); err != nil { // damaged: it is found again
		return oci.PublicName{}, orUnknown(fs.ErrNotExist, oci.BlobUnknown, "blob "+d.String())
	}
	return oci.PublicName(s), nil
}

// KeepSource notes that a blob or manifest can be fetched.
func (r *Registry) KeepSource(ctx context.Context, area string, d oci.Digest, from oci.PublicName) error {
	text, err := json.Marshal(source(from))
	if err != nil {
		return err
	}
	return r.replace(ctx, sourceName(area, d), text, storage.Durable)
}

// renewSource makes a source young that a manifest is about to rely on.
func (r *Registry) renewSource(ctx context.Context, area string, d oci.Digest) error {
	if _, err := r.Source(ctx, area, d); err != nil {
		return err
	}
	_, err := r.renew(ctx, sourceName(area, d))
	return orUnknown(err, oci.BlobUnknown, "blob "+d.String())
}
