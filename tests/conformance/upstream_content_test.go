package conformance

import (
	"maps"
	"slices"
)

// picture is an image of an upstream, with its parts.
type picture struct {
	manifest
	config, layer blob
}

// layerSize is large enough for a layer to come in many pieces.
const layerSize = 200_000

// shelf is the repository of that name, which is made if need be. The caller
// holds mu.
func (u *upstream) shelf(repository string) *shelf {
	if u.shelves[repository] == nil {
		u.shelves[repository] = &shelf{
			blobs: map[string][]byte{}, manifests: map[string]manifest{},
			tags: map[string]string{}, referrers: map[string][]descriptor{},
		}
	}
	return u.shelves[repository]
}

// clone is the shelf as it is now.
func (s *shelf) clone() *shelf {
	if s == nil {
		return nil
	}
	return &shelf{maps.Clone(s.blobs), maps.Clone(s.manifests), maps.Clone(s.tags), slices.Clone(s.order), maps.Clone(s.referrers)}
}

// image puts an image there, by its digest alone. It is of that upstream and
// that repository only.
func (u *upstream) image(repository, label string) picture {
	own := u.address() + "/" + repository + ": " + label
	p := picture{config: blobOf([]byte("config of " + own)), layer: bulkOf("layer of "+own, layerSize)}
	p.manifest = imageOf(p.config, p.layer).manifest()
	u.put(repository, p.config, p.layer)
	u.keep(repository, p.manifest)
	return p
}

// tagged puts an image there under a tag.
func (u *upstream) tagged(repository, tag string) picture {
	p := u.image(repository, tag)
	u.tag(repository, tag, p.manifest)
	return p
}

// tag has a tag name a manifest from now on.
func (u *upstream) tag(repository, tag string, m manifest) {
	u.keep(repository, m)
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.shelf(repository)
	if _, there := s.tags[tag]; !there {
		s.order = append(s.order, tag)
	}
	s.tags[tag] = m.digest
}

// untag has a tag name nothing.
func (u *upstream) untag(repository, tag string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.shelf(repository)
	delete(s.tags, tag)
	s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == tag })
}

// put puts blobs there.
func (u *upstream) put(repository string, blobs ...blob) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, b := range blobs {
		u.shelf(repository).blobs[b.digest] = b.content
	}
}

// keep puts manifests there, by their digests.
func (u *upstream) keep(repository string, manifests ...manifest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, m := range manifests {
		u.shelf(repository).manifests[m.digest] = m
	}
}

// refer has the upstream list a manifest as about a subject.
func (u *upstream) refer(repository string, subject manifest, about descriptor) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.shelf(repository)
	s.referrers[subject.digest] = append(s.referrers[subject.digest], about)
}

// mirrors has the upstream have what another one has.
func (u *upstream) mirrors(other *upstream) {
	other.mu.Lock()
	defer other.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.shelves = maps.Clone(other.shelves)
}
