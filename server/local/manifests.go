package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// StatManifest describes a manifest.
func (r *Registry) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	t, err := r.find(ctx, name, ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	info, err := r.driver.Stat(ctx, blobName(name.Area, t.Digest))
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("body of %s@%s: %w", name, t.Digest, err)
	}
	return oci.Descriptor{MediaType: t.MediaType, Digest: t.Digest, Size: info.Size, Origin: oci.Speculative}, nil
}

// GetManifest reads a manifest. A record whose body is lost is a fault, not a
// miss: a client must not be sent to another registry for it.
func (r *Registry) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	t, err := r.find(ctx, name, ref)
	if err != nil {
		return oci.Manifest{}, err
	}
	m, err := r.body(ctx, name, t)
	m.Origin = oci.Speculative
	return m, err
}

// body reads the manifest that a record points at.
func (r *Registry) body(ctx context.Context, name oci.Name, t target) (oci.Manifest, error) {
	content, _, err := r.read(ctx, blobName(name.Area, t.Digest), oci.MaxManifestSize)
	if err == nil && len(content) > oci.MaxManifestSize {
		err = fmt.Errorf("more than %d bytes", oci.MaxManifestSize)
	}
	if err != nil {
		return oci.Manifest{}, fmt.Errorf("body of %s@%s: %w", name, t.Digest, err)
	}
	d := oci.Descriptor{MediaType: t.MediaType, Digest: t.Digest, Size: int64(len(content))}
	return oci.Manifest{Descriptor: d, Content: content}, nil
}

// PutManifest stores the body first and what leads to it last, so that nothing
// ever refers to what is not there.
func (r *Registry) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	refs, err := m.References()
	if err != nil {
		return err
	}
	r.removing.RLock() // what is found to be there now must stay
	defer r.removing.RUnlock()
	if err := r.complete(ctx, name, refs); err != nil {
		return err
	}
	if err := r.putBody(ctx, name.Area, m); err != nil {
		return err
	}
	text, err := record(m.MediaType, m.Digest)
	if err != nil {
		return err
	}
	if refs.Subject != nil { // which is listed only with the digest there
		if err := r.putReferrer(ctx, name, m, refs); err != nil {
			return err
		}
	}
	if err := r.replace(ctx, digestName(name, m.Digest), text, storage.Durable); err != nil {
		return err
	}
	for _, t := range tags {
		if err := r.replace(ctx, tagName(name, t), text, storage.Durable); err != nil {
			return err
		}
	}
	return nil
}

// putBody stores the body, also in the place of one that is damaged.
func (r *Registry) putBody(ctx context.Context, area string, m oci.Manifest) error {
	_, err := r.renewBlob(ctx, area, m.Digest)
	if err == nil {
		there, _, fault := r.read(ctx, blobName(area, m.Digest), m.Size)
		if fault == nil && bytes.Equal(there, m.Content) {
			return nil
		}
	}
	if err != nil && !errors.Is(err, oci.BlobUnknown) {
		return err
	}
	return r.put(ctx, blobName(area, m.Digest), m.Content, storage.Durable)
}

func (r *Registry) putReferrer(ctx context.Context, name oci.Name, m oci.Manifest, refs oci.References) error {
	d := m.Descriptor
	d.ArtifactType, d.Annotations = refs.ArtifactType, refs.Annotations
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return r.replace(ctx, referrerName(name, refs.Subject.Digest, m.Digest), text, storage.Durable)
}

// complete asserts that what a manifest needs is there.
func (r *Registry) complete(ctx context.Context, name oci.Name, refs oci.References) error {
	missing, err := r.missing(ctx, name, refs)
	all := slices.Concat(missing.Blobs, missing.Manifests)
	if err != nil || len(all) == 0 {
		return err
	}
	const most = 10
	var named []string
	for _, d := range all[:min(len(all), most)] {
		named = append(named, d.Digest.String())
	}
	fault := oci.Errorf(oci.ManifestBlobUnknown, "the manifest refers to %d blobs or manifests that are not here, and have to be pushed first: %s",
		len(all), strings.Join(named, ", "))
	fault.Detail = map[string][]string{"missing": named}
	return fault
}

// Missing is the part of what a manifest needs that is neither here nor has a
// source, each digest once. The rest is young then.
func (r *Registry) Missing(ctx context.Context, name oci.Name, m oci.Manifest) (oci.References, error) {
	refs, err := m.References()
	if err != nil {
		return oci.References{}, err
	}
	return r.missing(ctx, name, refs)
}

func (r *Registry) missing(ctx context.Context, name oci.Name, refs oci.References) (missing oci.References, err error) {
	here := func(d oci.Descriptor) error {
		_, err := r.renewBlob(ctx, name.Area, d.Digest)
		return err
	}
	resolved := func(d oci.Descriptor) error {
		return r.renewManifest(ctx, name, oci.Reference{Digest: d.Digest})
	}
	if missing.Blobs, err = r.without(ctx, name.Area, refs.Blobs, here); err == nil {
		missing.Manifests, err = r.without(ctx, name.Area, refs.Manifests, resolved)
	}
	if err == nil {
		err = r.renewOthers(ctx, name, refs)
	}
	return missing, err
}

// without is the part of needed that find does not find, and that has no source.
func (r *Registry) without(ctx context.Context, area string, needed []oci.Descriptor, find func(oci.Descriptor) error) ([]oci.Descriptor, error) {
	var missing []oci.Descriptor
	seen := map[oci.Digest]bool{}
	for _, d := range needed {
		if seen[d.Digest] || d.IsNonDistributable() {
			continue
		}
		seen[d.Digest] = true
		err := find(d)
		if errors.Is(err, oci.BlobUnknown) || errors.Is(err, oci.ManifestUnknown) {
			err = r.renewSource(ctx, area, d.Digest)
		}
		switch {
		case errors.Is(err, oci.BlobUnknown):
			missing = append(missing, d)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// references reads what a stored manifest names. Whatever is wrong with it is a
// fault of the store.
func (r *Registry) references(ctx context.Context, area string, d oci.Digest) (oci.References, error) {
	content, _, err := r.read(ctx, blobName(area, d), oci.MaxManifestSize)
	if err != nil {
		return oci.References{}, err
	}
	refs, err := oci.ParseReferences(content)
	if err != nil {
		return oci.References{}, fmt.Errorf("%s %w: %v", blobName(area, d), errDamaged, err)
	}
	return refs, nil
}

// DeleteManifest removes a tag, or a digest with its tags. The body stays: the
// same manifest may be in other repositories.
func (r *Registry) DeleteManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	spellings, err := r.spellings(ctx, name)
	if err != nil {
		return err
	}
	if err := r.exists(ctx, spellings, ref); err != nil {
		return err
	}
	if !ref.IsDigest() {
		return r.deleteRecords(ctx, spellings, ref)
	}
	r.removing.Lock() // or a tag that is pushed meanwhile could be left without its digest
	defer r.removing.Unlock()
	if err := r.deleteTagsOf(ctx, spellings, ref.Digest); err != nil {
		return err
	}
	if err := r.deleteRecords(ctx, spellings, ref); err != nil {
		return err
	}
	return r.deleteReferrer(ctx, name, ref.Digest)
}

// exists is MANIFEST_UNKNOWN where there is nothing to delete. A damaged record is
// something.
func (r *Registry) exists(ctx context.Context, spellings []oci.Name, ref oci.Reference) error {
	for _, n := range spellings {
		_, err := r.driver.Stat(ctx, recordName(n, ref))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if ref.IsDigest() {
		_, err := r.unrecorded(ctx, spellings[0], ref.Digest)
		return err
	}
	return unknownManifest(spellings[0], ref)
}

// deleteRecords deletes the older ones first: they would take the place of ours.
func (r *Registry) deleteRecords(ctx context.Context, spellings []oci.Name, ref oci.Reference) error {
	for _, n := range slices.Backward(spellings) {
		if err := r.driver.Delete(ctx, recordName(n, ref)); err != nil {
			return err
		}
	}
	return nil
}

// deleteTagsOf deletes all tags that name a manifest, and has it that no other leads to
// it.
func (r *Registry) deleteTagsOf(ctx context.Context, spellings []oci.Name, d oci.Digest) error {
	tags, recorded, err := r.tagsAndDigests(ctx, spellings)
	if err != nil {
		return err
	}
	delete(recorded, d)
	group, ctx := crowd(ctx)
	for _, tag := range tags {
		group.Go(func() error { return orNil(r.deleteTagOf(ctx, spellings, tag, d, recorded)) })
	}
	return group.Wait()
}

func (r *Registry) deleteTagOf(ctx context.Context, spellings []oci.Name, tag string, d oci.Digest, recorded map[oci.Digest]bool) error {
	name := spellings[0]
	t, err := r.target(ctx, name.Area, tag)
	if err != nil {
		return err
	}
	if t.Digest == d {
		return r.deleteTag(ctx, spellings, tag)
	}
	names, err := r.names(ctx, name.Area, tag, t.types, recorded)
	if _, ok := names[d]; !ok {
		return err
	}
	return r.settle(ctx, name, t)
}

// deleteTag deletes a tag, and those that would come to light then.
func (r *Registry) deleteTag(ctx context.Context, spellings []oci.Name, object string) error {
	tag, err := oci.ParseTag(path.Base(object))
	if err != nil {
		return err
	}
	from := slices.IndexFunc(spellings, func(n oci.Name) bool { return tagName(n, tag) == object })
	return r.deleteRecords(ctx, spellings[from:], oci.Reference{Tag: tag})
}

func (r *Registry) deleteReferrer(ctx context.Context, name oci.Name, d oci.Digest) error {
	refs, err := r.references(ctx, name.Area, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || refs.Subject == nil {
		return err
	}
	return r.driver.Delete(ctx, referrerName(name, refs.Subject.Digest, d))
}
