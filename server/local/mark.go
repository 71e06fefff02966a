package local

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"path"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// mark finds out what is needed in an area.
type mark struct {
	*pruner
	name    string
	seed    maphash.Seed
	expired []expired

	marking sync.Mutex          // of needed
	needed  map[uint64]struct{} // hashes of objects' names; that two are the same keeps something too long
}

// expired is a record that goes.
type expired struct {
	kind   Kind
	object string
	moment time.Time
	round  int // those of earlier ones go before
}

func newMark(w *pruner, area string) *mark {
	return &mark{pruner: w, name: area, seed: maphash.MakeSeed(), needed: map[uint64]struct{}{}}
}

func (m *mark) need(object string) {
	m.marking.Lock()
	defer m.marking.Unlock()
	m.needed[maphash.String(m.seed, object)] = struct{}{}
}

func (m *mark) needs(object string) bool {
	m.marking.Lock()
	defer m.marking.Unlock()
	_, ok := m.needed[maphash.String(m.seed, object)]
	return ok
}

// area marks what the references of an area need that stay.
func (m *mark) area(ctx context.Context) error {
	for _, tree := range []struct {
		root  string
		mark  func(context.Context, repository) error
		again bool // what is damaged is fetched again
	}{{reposDirectory, m.pushed, false}, {path.Join(upstreamDirectory, reposDirectory), m.fetched, true}} {
		root := path.Join(m.name, tree.root)
		for name, err := range m.allRepositories(ctx, root) {
			if err == nil {
				var r repository
				if r, err = m.repository(ctx, oci.Name{Area: m.name, Repository: name}, root, tree.again); err == nil {
					err = tree.mark(ctx, r)
				}
			}
			if err := m.fault(ctx, "a repository cannot be read", path.Join(root, name), err); err != nil {
				return err
			}
		}
	}
	return nil
}

// allRepositories yields the repositories of a tree.
func (m *mark) allRepositories(ctx context.Context, root string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { m.repositories(ctx, root, "", yield) }
}

// repositories yields those of a tree, or below one of them. Anything else may be
// somebody's reference.
func (m *mark) repositories(ctx context.Context, root, above string, yield func(string, error) bool) bool {
	for e, err := range m.registry.driver.List(ctx, path.Join(root, escape(above)), "") {
		below := path.Join(above, unescape(e.Name))
		switch {
		case err == nil && e.Directory && e.Name == recordsDirectory && above != "":
			if !yield(above, nil) {
				return false
			}
			continue
		case err == nil && (!e.Directory || e.Name == recordsDirectory):
			err = errors.New("it belongs to no repository")
		}
		if err != nil && !yield(below, err) || err == nil && !m.repositories(ctx, root, below, yield) {
			return false
		}
	}
	return true
}

// repository is what one has of references.
type repository struct {
	oci.Name
	references []reference
	named      map[oci.Digest]bool // their targets
}

// reference is a record that was read.
type reference struct {
	oci.Reference
	object   string
	targets  []oci.Digest // of each media type
	modified time.Time
}

func (m *mark) repository(ctx context.Context, name oci.Name, root string, again bool) (repository, error) {
	r := repository{Name: name, named: map[oci.Digest]bool{}}
	directory := path.Join(root, escape(name.Repository), recordsDirectory)
	var mu sync.Mutex
	group, reading := crowd(ctx)
	for e, err := range m.registry.driver.List(ctx, directory, "") {
		if err != nil {
			return r, errors.Join(err, group.Wait())
		}
		if reading.Err() != nil {
			break
		}
		group.Go(func() error {
			ref, err := m.reference(reading, path.Join(directory, e.Name))
			m.step()
			switch {
			case e.Directory: // as of the original's, of a repository that is called as records are
				err = errors.New("it is a directory")
			case errors.Is(err, fs.ErrNotExist):
				return nil // deleted meanwhile
			case again && errors.Is(err, errDamaged):
				err = nil // it needs nothing
			}
			if err != nil {
				return m.fault(reading, "it is not known what a record needs", path.Join(directory, e.Name), err)
			}
			mu.Lock()
			defer mu.Unlock()
			r.references = append(r.references, ref)
			for _, d := range ref.targets {
				r.named[d] = true
			}
			return nil
		})
	}
	return r, errors.Join(group.Wait(), ctx.Err())
}

// reference reads a record.
func (m *mark) reference(ctx context.Context, object string) (reference, error) {
	ref, err := oci.ParseReference(path.Base(object))
	if err != nil {
		return reference{}, errors.New("it is called neither as a tag nor as a digest")
	}
	types, info, err := m.registry.types(ctx, object)
	r := reference{Reference: ref, object: object, modified: info.Modified}
	for _, d := range types {
		r.targets = append(r.targets, d)
	}
	return r, err
}

// pushed marks what the references of a repository need that stay: those that are young,
// and the digests that these need, or that refer to them.
func (m *mark) pushed(ctx context.Context, r repository) error {
	var moment time.Time // none is older
	if m.Manifest > 0 {
		moment = m.began.Add(-m.Manifest)
	}
	t := tree{mark: m, repository: r, manifests: map[oci.Digest]bool{}, called: map[string]bool{}}
	var roots []oci.Digest
	var old []reference
	for _, ref := range r.references {
		if ref.modified.After(moment) {
			roots = append(roots, ref.targets...)
		} else {
			old = append(old, ref)
		}
	}
	if err := t.grow(ctx, roots); err != nil {
		return err
	}
	old, below, err := t.attach(ctx, old)
	depths := depths(below)
	for _, ref := range old {
		e := expired{kind: TagKind, object: ref.object, moment: moment}
		if ref.IsDigest() { // after the tags
			e.kind, e.round = ManifestKind, 1+depths[ref.Digest]
		}
		m.expired = append(m.expired, e)
	}
	return err
}

// depths says how many manifests are above one at most.
func depths(below map[oci.Digest][]oci.Digest) map[oci.Digest]int {
	depths := map[oci.Digest]int{}
	for deeper := true; deeper; {
		deeper = false
		for d, all := range below {
			for _, b := range all {
				if depths[b] <= depths[d] {
					depths[b], deeper = depths[d]+1, true
				}
			}
		}
	}
	return depths
}

// fetched marks what the answers of upstreams need that somebody wants, and finds those
// that nobody does: a tag, if nobody wants its manifest by the digest either.
func (m *mark) fetched(ctx context.Context, r repository) error {
	moment := m.began.Add(-m.Cache)
	wanted := map[oci.Digest]bool{}
	for _, ref := range r.references {
		for _, d := range ref.targets {
			wanted[d] = wanted[d] || ref.modified.After(moment)
		}
	}
	group, reading := crowd(ctx)
	for d, wanted := range wanted {
		if wanted {
			group.Go(func() error { return m.cached(reading, d) })
		}
	}
	for _, ref := range r.references {
		if !ref.modified.After(moment) && !anyOf(wanted, ref.targets) {
			m.expired = append(m.expired, expired{kind: CachedKind, object: ref.object, moment: moment})
		}
	}
	return group.Wait()
}

func anyOf(set map[oci.Digest]bool, all []oci.Digest) bool {
	for _, d := range all {
		if set[d] {
			return true
		}
	}
	return false
}

// cached marks what a manifest needs that was fetched; its children were for themselves.
func (m *mark) cached(ctx context.Context, d oci.Digest) error {
	mentions, err := m.mentions(ctx, d)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) || errors.Is(err, errTooLarge) {
		return nil // it is fetched again
	}
	if err != nil {
		return m.fault(ctx, "it is not known what a manifest needs", blobName(m.name, d), err)
	}
	m.need(blobName(m.name, d))
	children := map[oci.Digest]bool{}
	for _, c := range mentions.Children {
		children[c] = true
	}
	for _, b := range mentions.Needed {
		if !children[b] {
			m.need(blobName(m.name, b))
		}
	}
	return nil
}

// errTooLarge is for a body that is not read: only the original stored manifests of that
// size.
var errTooLarge = fmt.Errorf("it has more than %d bytes", oci.MaxManifestSize)

// mentions reads what a manifest names, which has to be the manifest of that digest. What
// is none needs nothing: an index may list layers as if they were manifests, as that of
// BuildKit's cache does.
func (m *mark) mentions(ctx context.Context, d oci.Digest) (oci.Mentions, error) {
	if err := ctx.Err(); err != nil {
		return oci.Mentions{}, err
	}
	content, _, err := m.registry.read(ctx, blobName(m.name, d), oci.MaxManifestSize)
	if err != nil {
		return oci.Mentions{}, err
	}
	if len(content) > oci.MaxManifestSize {
		return oci.Mentions{}, errTooLarge
	}
	if actual := d.Algorithm().Sum(content); actual != d {
		return oci.Mentions{}, fmt.Errorf("%w: its digest is %s", errDamaged, actual)
	}
	mentions, err := oci.ParseMentions(content)
	if err != nil {
		m.Log.DebugContext(ctx, "it is no manifest, and needs nothing", "digest", d.String(), "error", err)
		return oci.Mentions{}, nil
	}
	return mentions, nil
}
