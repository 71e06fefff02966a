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
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// target is what a record points at.
type target struct {
	MediaType string
	Digest    oci.Digest
	types     map[string]oci.Digest // all of the record: one but for the original's
	record    string                // its object
	info      storage.Info          // of the record
	root      oci.Digest            // what the record names, if it is a tag's and the reference a digest
}

const maxTargetSize = 64 << 10

// resolve finds what a reference names.
func (r *Registry) resolve(ctx context.Context, name oci.Name, ref oci.Reference) (target, error) {
	t, err := r.recorded(ctx, name, ref)
	if errors.Is(err, oci.ManifestUnknown) && ref.IsDigest() {
		return r.unrecorded(ctx, name, ref.Digest)
	}
	return t, err
}

// recorded reads the record of a reference, ours or else an older one.
func (r *Registry) recorded(ctx context.Context, name oci.Name, ref oci.Reference) (target, error) {
	t, err := r.target(ctx, name.Area, recordName(name, ref))
	if !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	spellings, err := r.spellings(ctx, name)
	if err != nil {
		return target{}, err
	}
	for _, older := range spellings[1:] {
		t, err := r.target(ctx, name.Area, recordName(older, ref))
		if !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	return target{}, unknownManifest(name, ref)
}

// find is resolve for those who read.
func (r *Registry) find(ctx context.Context, name oci.Name, ref oci.Reference) (target, error) {
	t, err := r.resolve(ctx, name, ref)
	if err == nil {
		r.adopt(ctx, name, t)
	}
	return t, err
}

func unknownManifest(name oci.Name, ref oci.Reference) error {
	return oci.Errorf(oci.ManifestUnknown, "manifest %s of %s is not in this registry", ref, name)
}

// target reads a record.
func (r *Registry) target(ctx context.Context, area, record string) (target, error) {
	types, info, err := r.types(ctx, record)
	if err != nil {
		return target{}, err
	}
	mediaType, err := r.newest(ctx, area, types)
	return target{MediaType: mediaType, Digest: types[mediaType], types: types, record: record, info: info}, err
}

// types reads what a record has by media type.
func (r *Registry) types(ctx context.Context, record string) (map[string]oci.Digest, storage.Info, error) {
	text, info, err := r.read(ctx, record, maxTargetSize)
	if err != nil {
		return nil, info, err
	}
	var types map[string]oci.Digest
	if err := decode(record, text, &types); err != nil {
		return nil, info, err
	}
	if len(types) == 0 {
		return nil, info, fmt.Errorf("%s %w: it names no manifest", record, errDamaged)
	}
	return types, info, nil
}

// alike is how far apart times may be that say nothing: a copy of a store may have the
// time of the copy for all that it has.
const alike = time.Second

// newest chooses among the media types that the original kept side by side when
// a tag was pushed again with another one: the last pushed is meant. Where that cannot
// be told, the client's choice is as good.
func (r *Registry) newest(ctx context.Context, area string, types map[string]oci.Digest) (mediaType string, err error) {
	all := slices.Sorted(maps.Keys(types))
	if len(all) == 1 {
		return all[0], nil
	}
	pushed := map[string]time.Time{}
	for _, t := range all {
		info, err := r.driver.Stat(ctx, blobName(area, types[t]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		pushed[t] = info.Modified
	}
	mediaType = slices.MaxFunc(all, func(a, b string) int { return pushed[a].Compare(pushed[b]) })
	for _, t := range oci.Accepted(ctx) {
		if at, ok := pushed[t]; ok && pushed[mediaType].Sub(at) <= alike {
			return t, nil
		}
	}
	return mediaType, nil
}

// record is what leads to a manifest.
func record(mediaType string, d oci.Digest) ([]byte, error) {
	return json.Marshal(map[string]oci.Digest{mediaType: d})
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
			if ref, err := oci.ParseReference(e.Name); err == nil && !e.Directory && !yield(ref, nil) {
				return
			}
		}
	}
}
