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

// Item is a tag that there is, and what it names. Its Origin is that it was pushed, or
// fetched: Cached.
type Item struct {
	oci.Descriptor
	Name     oci.Name // its Area and Repository
	Tag      oci.Tag
	Modified time.Time // when it was pushed, or the upstream last said so
}

// Items yields what was pushed and what was fetched, by name and tag in each area, the
// former first. Those of names that are not wanted are not read; Size is that
// of the manifest. What is damaged is left out: Check is there to find it.
func (r *Registry) Items(ctx context.Context, wanted func(oci.Name) bool) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for area, err := range r.areas(ctx) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, tree := range []struct {
				root  string
				state oci.State
			}{{reposDirectory, oci.Speculative}, {path.Join(upstreamDirectory, reposDirectory), oci.Cached}} {
				if !r.itemsOf(ctx, area, tree.root, tree.state, wanted, yield) {
					return
				}
			}
		}
	}
}

// itemsOf yields those of a tree in an area, and says whether more are wanted.
func (r *Registry) itemsOf(ctx context.Context, area, tree string, state oci.State, wanted func(oci.Name) bool, yield func(Item, error) bool) bool {
	more := true
	w := walk{r, ctx, path.Join(area, tree), "", func(repository string, err error) bool {
		name := oci.Name{Area: area, Repository: repository}
		switch {
		case err != nil:
			more = yield(Item{}, err)
		case wanted(name):
			more = r.itemsIn(ctx, path.Join(area, tree, escape(repository), recordsDirectory), name, state, yield)
		}
		return more && err == nil
	}}
	w.below("")
	return more
}

// itemsIn yields those of a directory of records.
func (r *Registry) itemsIn(ctx context.Context, directory string, name oci.Name, state oci.State, yield func(Item, error) bool) bool {
	for e, err := range r.driver.List(ctx, directory, "") {
		if err != nil {
			return yield(Item{}, err)
		}
		tag, malformed := oci.ParseTag(e.Name)
		if malformed != nil {
			continue // a digest
		}
		t, err := r.target(ctx, name.Area, path.Join(directory, e.Name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			continue
		}
		described := oci.Descriptor{MediaType: t.MediaType, Digest: t.Digest, Origin: oci.Origin{State: state}}
		if !yield(Item{described, name, tag, t.info.Modified}, err) || err != nil {
			return false
		}
	}
	return true
}

// Contents is what somebody may want to know of an image beside its name.
type Contents struct {
	Platforms []string // "linux/arm64/v8"; none for what is no image
	Size      int64    // of the config and the layers, in bytes; 0 for an index
}

// Contents reads the manifest of an Item, and the config of an image. What cannot be read
// is left out.
func (r *Registry) Contents(ctx context.Context, i Item) Contents {
	var m struct {
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	var c Contents
	if !r.readJSON(ctx, i.Name.Area, i.Digest, &m) {
		return c
	}
	for _, child := range m.Manifests {
		if child.Platform != nil {
			c.add(*child.Platform)
		}
	}
	if m.Config == nil {
		return c
	}
	c.Size = m.Config.Size
	for _, l := range m.Layers {
		c.Size += l.Size
	}
	var p v1.Platform
	if config, err := oci.ParseDigest(m.Config.Digest.String()); err == nil && r.readJSON(ctx, i.Name.Area, config, &p) {
		c.add(p)
	}
	return c
}

// readJSON reads a blob, if it is there and JSON.
func (r *Registry) readJSON(ctx context.Context, area string, d oci.Digest, into any) bool {
	text, _, err := r.read(ctx, blobName(area, d), oci.MaxManifestSize)
	return err == nil && json.Unmarshal(text, into) == nil
}

// add adds a platform, once. Those of attestations are unknown.
func (c *Contents) add(p v1.Platform) {
	const unknown = "unknown"
	if p.OS == "" || p.OS == unknown {
		return
	}
	text := path.Join(p.OS, p.Architecture, p.Variant)
	if !slices.Contains(c.Platforms, text) {
		c.Platforms = append(c.Platforms, text)
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
