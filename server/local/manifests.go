package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// target is what a record points at.
type target struct {
	MediaType string
	Digest    oci.Digest
}

const maxTargetSize = 64 << 10

// resolve reads the record of a reference.
func (r *Registry) resolve(ctx context.Context, name oci.Name, ref oci.Reference) (target, error) {
	types, err := r.types(ctx, recordName(name, ref))
	if err != nil {
		return target{}, orUnknown(err, oci.ManifestUnknown, fmt.Sprintf("manifest %s of %s", ref, name))
	}
	return r.newest(ctx, name.Area, types)
}

// types reads a record.
func (r *Registry) types(ctx context.Context, record string) (map[string]oci.Digest, error) {
	text, err := r.read(ctx, record, maxTargetSize)
	if err != nil {
		return nil, err
	}
	var types map[string]oci.Digest
	if err := decode(record, text, &types); err != nil {
		return nil, err
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("%s %w: it names no manifest", record, errDamaged)
	}
	return types, nil
}

// newest chooses among the media types that the original kept side by side when
// a tag was pushed again with another one: the last pushed is meant.
func (r *Registry) newest(ctx context.Context, area string, types map[string]oci.Digest) (target, error) {
	var chosen target
	var modified time.Time
	for _, mediaType := range slices.Sorted(maps.Keys(types)) {
		d := types[mediaType]
		if len(types) == 1 {
			return target{mediaType, d}, nil
		}
		info, err := r.driver.Stat(ctx, blobName(area, d))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return target{}, err
		}
		if chosen.Digest.IsZero() || info.Modified.After(modified) {
			chosen, modified = target{mediaType, d}, info.Modified
		}
	}
	return chosen, nil
}

// StatManifest describes a manifest.
func (r *Registry) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	t, err := r.resolve(ctx, name, ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	info, err := r.driver.Stat(ctx, blobName(name.Area, t.Digest))
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("body of %s@%s: %w", name, t.Digest, err)
	}
	return oci.Descriptor{MediaType: t.MediaType, Digest: t.Digest, Size: info.Size}, nil
}

// GetManifest reads a manifest. A record whose body is lost is a fault, not a
// miss: a client must not be sent to another registry for it.
func (r *Registry) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	t, err := r.resolve(ctx, name, ref)
	if err != nil {
		return oci.Manifest{}, err
	}
	return r.body(ctx, name, t)
}

// body reads the manifest that a record points at.
func (r *Registry) body(ctx context.Context, name oci.Name, t target) (oci.Manifest, error) {
	content, err := r.read(ctx, blobName(name.Area, t.Digest), oci.MaxManifestSize)
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
	text, err := record(m)
	if err != nil {
		return err
	}
	if refs.Subject != nil { // which is listed only with the digest there
		if err := r.putReferrer(ctx, name, m, refs); err != nil {
			return err
		}
	}
	if err := r.put(ctx, digestName(name, m.Digest), text, storage.Durable); err != nil {
		return err
	}
	for _, t := range tags {
		if err := r.put(ctx, tagName(name, t), text, storage.Durable); err != nil {
			return err
		}
	}
	return nil
}

// record is what leads to a manifest.
func record(m oci.Manifest) ([]byte, error) {
	return json.Marshal(map[string]oci.Digest{m.MediaType: m.Digest})
}

func (r *Registry) putBody(ctx context.Context, area string, m oci.Manifest) error {
	there, err := r.renewBlob(ctx, area, m.Digest)
	if err == nil && there.Size == m.Size {
		return nil
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
	return r.put(ctx, referrerName(name, refs.Subject.Digest, m.Digest), text, storage.Durable)
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
// source, each digest once.
func (r *Registry) Missing(ctx context.Context, name oci.Name, m oci.Manifest) (oci.References, error) {
	refs, err := m.References()
	if err != nil {
		return oci.References{}, err
	}
	return r.missing(ctx, name, refs)
}

func (r *Registry) missing(ctx context.Context, name oci.Name, refs oci.References) (missing oci.References, err error) {
	here := func(d oci.Descriptor) error {
		_, err := r.StatBlob(ctx, name, d.Digest)
		return err
	}
	resolved := func(d oci.Descriptor) error {
		_, err := r.resolve(ctx, name, oci.Reference{Digest: d.Digest})
		return err
	}
	if missing.Blobs, err = r.without(ctx, name.Area, refs.Blobs, here); err == nil {
		missing.Manifests, err = r.without(ctx, name.Area, refs.Manifests, resolved)
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
			_, err = r.Source(ctx, area, d.Digest)
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
	content, err := r.read(ctx, blobName(area, d), oci.MaxManifestSize)
	if err != nil {
		return oci.References{}, err
	}
	refs, err := oci.ParseReferences(content)
	if err != nil {
		return oci.References{}, fmt.Errorf("%s: %v", blobName(area, d), err)
	}
	return refs, nil
}

// DeleteManifest removes a tag, or a digest with its tags. The body stays: the
// same manifest may be in other repositories.
func (r *Registry) DeleteManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	if _, err := r.driver.Stat(ctx, recordName(name, ref)); err != nil {
		return orUnknown(err, oci.ManifestUnknown, fmt.Sprintf("manifest %s of %s", ref, name))
	}
	if !ref.IsDigest() {
		return r.driver.Delete(ctx, recordName(name, ref))
	}
	r.removing.Lock() // or a tag that is pushed meanwhile could be left without its digest
	defer r.removing.Unlock()
	if err := r.deleteTagsOf(ctx, name, ref.Digest); err != nil {
		return err
	}
	if err := r.driver.Delete(ctx, recordName(name, ref)); err != nil {
		return err
	}
	return r.deleteReferrer(ctx, name, ref.Digest)
}

// tagsAtOnce is how many tags are looked at at the same time: a store that is far away
// takes its time for each.
const tagsAtOnce = 16

// deleteTagsOf deletes all tags that name a manifest.
func (r *Registry) deleteTagsOf(ctx context.Context, name oci.Name, d oci.Digest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(tagsAtOnce)
	for ref, err := range r.records(ctx, name, "") {
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		if !ref.IsDigest() {
			group.Go(func() error { return r.deleteTagOf(ctx, name, ref, d) })
		}
	}
	return group.Wait()
}

func (r *Registry) deleteTagOf(ctx context.Context, name oci.Name, tag oci.Reference, d oci.Digest) error {
	t, err := r.resolve(ctx, name, tag)
	if errors.Is(err, oci.ManifestUnknown) || err == nil && t.Digest != d {
		return nil
	}
	if err != nil {
		return err
	}
	return r.driver.Delete(ctx, recordName(name, tag))
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

// records yields the tags and digests of a repository after a name, and passes
// over files that are neither.
func (r *Registry) records(ctx context.Context, name oci.Name, after string) iter.Seq2[oci.Reference, error] {
	return func(yield func(oci.Reference, error) bool) {
		for e, err := range r.driver.List(ctx, recordsOf(name), after) {
			if err != nil {
				yield(oci.Reference{}, err)
				return
			}
			if ref, err := oci.ParseReference(e.Name); err == nil && !yield(ref, nil) {
				return
			}
		}
	}
}
