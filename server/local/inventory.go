package local

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// Tagged is a tag that there is.
type Tagged struct {
	Name   oci.Name // its Area and Repository
	Tag    oci.Tag
	Origin oci.Origin // Speculative, or Cached if it was fetched
}

// Tagged yields what was pushed and what was fetched, by name and tag in each area, the
// former first. An error ends it.
func (r *Registry) Tagged(ctx context.Context) iter.Seq2[Tagged, error] {
	return func(yield func(Tagged, error) bool) {
		for area, err := range r.areas(ctx) {
			if err != nil {
				yield(Tagged{}, err)
				return
			}
			for _, origin := range []oci.Origin{oci.Speculative, oci.Cached} {
				for name, err := range r.repositoriesIn(ctx, area, treeOf(origin), "") {
					if err != nil {
						yield(Tagged{}, err)
						return
					}
					if !r.tagsIn(ctx, name, origin, yield) {
						return
					}
				}
			}
		}
	}
}

// tagsIn yields those of a repository, and says whether more are wanted.
func (r *Registry) tagsIn(ctx context.Context, name oci.Name, origin oci.Origin, yield func(Tagged, error) bool) bool {
	for e, err := range r.driver.List(ctx, recordsIn(treeOf(origin), name), "") {
		if err != nil {
			yield(Tagged{}, err)
			return false
		}
		tag, err := oci.ParseTag(e.Name)
		if err == nil && !e.Directory && !yield(Tagged{name, tag, origin}, nil) { // or a digest
			return false
		}
	}
	return true
}

// Item is what a tag names.
type Item struct {
	Tagged
	MediaType string // of the manifest
	Digest    oci.Digest
	Modified  time.Time // when the tag was pushed, or the upstream last said so
	Platforms []string  // "linux/arm64/v8"; none for what is no image
	Size      int64     // of the config and the layers, in bytes; 0 for an index
}

// Item reads what a tag names. MANIFEST_UNKNOWN if it is not there any more, or damaged,
// which Check is there to find; of the manifest and the config, what cannot be read is left
// out.
func (r *Registry) Item(ctx context.Context, t Tagged) (Item, error) {
	found, err := r.target(ctx, t.Name.Area, path.Join(recordsIn(treeOf(t.Origin), t.Name), t.Tag.String()))
	if errors.Is(err, errDamaged) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Item{}, orUnknown(err, oci.ManifestUnknown, "manifest "+t.Tag.String()+" of "+t.Name.String())
	}
	i := Item{Tagged: t, MediaType: found.MediaType, Digest: found.Digest, Modified: found.info.Modified}
	i.read(ctx, r)
	return i, nil
}

// read reads the manifest, and the config of an image.
func (i *Item) read(ctx context.Context, r *Registry) {
	var m struct {
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	if !r.readJSON(ctx, i.Name.Area, i.Digest, &m) {
		return
	}
	for _, child := range m.Manifests {
		if child.Platform != nil {
			i.add(*child.Platform)
		}
	}
	if m.Config == nil {
		return
	}
	i.Size = m.Config.Size
	for _, l := range m.Layers {
		i.Size += l.Size
	}
	var p v1.Platform
	if config, err := oci.ParseDigest(m.Config.Digest.String()); err == nil && r.readJSON(ctx, i.Name.Area, config, &p) {
		i.add(p)
	}
}

// readJSON reads a blob, if it is there and JSON.
func (r *Registry) readJSON(ctx context.Context, area string, d oci.Digest, into any) bool {
	text, _, err := r.read(ctx, blobName(area, d), oci.MaxManifestSize)
	return err == nil && json.Unmarshal(text, into) == nil
}

// add adds a platform, once. Those of attestations are unknown.
func (i *Item) add(p v1.Platform) {
	const unknown = "unknown"
	if p.OS == "" || p.OS == unknown {
		return
	}
	text := path.Join(p.OS, p.Architecture, p.Variant)
	if !slices.Contains(i.Platforms, text) {
		i.Platforms = append(i.Platforms, text)
	}
}

// Unfinished is an upload that has begun.
type Unfinished struct {
	Name     oci.Name
	Size     int64 // bytes that have come
	Begun    time.Time
	Modified time.Time // when somebody last went on with it
}

// Unfinished yields the uploads that any process may go on with. What a request is just
// sending does not count yet.
func (r *Registry) Unfinished(ctx context.Context) iter.Seq2[Unfinished, error] {
	return func(yield func(Unfinished, error) bool) {
		for area, err := range r.areas(ctx) {
			if err != nil {
				yield(Unfinished{}, err)
				return
			}
			for e, err := range r.driver.List(ctx, path.Join(area, uploadsDirectory), "") {
				if err == nil && e.Directory {
					continue // one of the original's
				}
				var u Unfinished
				if err == nil {
					u, err = r.unfinished(ctx, area, e.Name)
				}
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
					continue
				}
				if !yield(u, err) || err != nil {
					return
				}
			}
		}
	}
}

func (r *Registry) unfinished(ctx context.Context, area, id string) (Unfinished, error) {
	s, info, err := r.readState(ctx, uploadName(area, id))
	return Unfinished{
		Name: oci.Name{Area: area, Repository: s.Repository}, Size: storage.Size(s.Parts), Begun: s.Begun, Modified: info.Modified,
	}, err
}
