package local

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// The original records only the tag where a manifest is pushed by one, and answers for
// any digest of which it has the content. We record each digest, and answer for those
// that a record, a tag or an index of the repository names. An index of which the
// digest is recorded has had its children recorded with it: one that is missing was
// deleted.

// lead is how a tag leads to a manifest.
type lead struct {
	tag       string         // the object of its record
	root      oci.Descriptor // what it names: the manifest, or an index above it
	mediaType string         // of the manifest
}

// leads are those to all that is not recorded, of the repositories that were searched.
// They are kept as long as the process lives: nobody stores tags any more without their
// digests. The zero value is ready.
type leads struct {
	turns turns

	mu    sync.Mutex
	known map[string]map[oci.Digest][]lead // by the directory of records
	tried map[string]time.Time             // when a record was last to be stored
}

func (l *leads) in(directory string) (map[oci.Digest][]lead, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.known[directory]
	return found, ok
}

func (l *leads) keep(directory string, found map[oci.Digest][]lead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]map[oci.Digest][]lead{}
	}
	l.known[directory] = found
}

// unrecorded finds a manifest of which no record has the digest.
func (r *Registry) unrecorded(ctx context.Context, name oci.Name, d oci.Digest) (target, error) {
	all, err := r.leadsTo(ctx, name, d)
	if err != nil {
		return target{}, err
	}
	for _, l := range all {
		t, err := r.follow(ctx, name, d, l)
		if !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	return target{}, unknownManifest(name, oci.Reference{Digest: d})
}

// follow finds out whether a lead is still good.
func (r *Registry) follow(ctx context.Context, name oci.Name, d oci.Digest, l lead) (target, error) {
	types, info, err := r.types(ctx, l.tag)
	if err != nil {
		return target{}, passOverDamage(err)
	}
	if types[l.root.MediaType] != l.root.Digest {
		return target{}, fs.ErrNotExist
	}
	if l.root.Digest != d {
		// Where the index has been recorded since, the manifest was, too, and then deleted.
		_, err := r.driver.Stat(ctx, digestName(name, l.root.Digest))
		if err == nil {
			return target{}, fs.ErrNotExist
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return target{}, err
		}
	}
	if _, err := r.driver.Stat(ctx, blobName(name.Area, d)); err != nil {
		return target{}, err
	}
	return target{MediaType: l.mediaType, Digest: d, types: types, record: l.tag, info: info, root: l.root.Digest}, nil
}

// passOverDamage makes what is damaged as good as not there: it says nothing of others.
func passOverDamage(err error) error {
	if errors.Is(err, errDamaged) {
		return fs.ErrNotExist
	}
	return err
}

// leadsTo are the leads to a manifest. The repository is searched once, by one client at a
// time, and only for what the area has.
func (r *Registry) leadsTo(ctx context.Context, name oci.Name, d oci.Digest) ([]lead, error) {
	directory := recordsOf(name)
	if found, ok := r.leads.in(directory); ok {
		return found[d], nil
	}
	all, err := r.spellings(ctx, name)
	there := len(all) > 1
	if err == nil && !there {
		there, err = r.isStored(ctx, name)
	}
	if err != nil || !there {
		return nil, err
	}
	if _, err := r.driver.Stat(ctx, blobName(name.Area, d)); err != nil {
		return nil, orNil(err)
	}
	release, err := r.leads.turns.take(ctx, directory)
	if err != nil {
		return nil, err
	}
	defer release()
	if found, ok := r.leads.in(directory); ok {
		return found[d], nil
	}
	found, err := r.searchLeads(ctx, all)
	if err != nil {
		return nil, err
	}
	r.leads.keep(directory, found)
	return found[d], nil
}

// searchLeads reads the tags of a repository, and the indexes that are not recorded.
func (r *Registry) searchLeads(ctx context.Context, spellings []oci.Name) (map[oci.Digest][]lead, error) {
	tags, recorded, err := r.tagsAndDigests(ctx, spellings)
	if err != nil {
		return nil, err
	}
	found := map[oci.Digest][]lead{}
	var mu sync.Mutex
	group, reading := crowd(ctx)
	for _, tag := range tags {
		group.Go(func() error {
			types, _, err := r.types(reading, tag)
			var names map[oci.Digest]lead
			if err == nil {
				names, err = r.names(reading, spellings[0].Area, tag, types, recorded)
			}
			mu.Lock()
			defer mu.Unlock()
			for d, l := range names {
				found[d] = append(found[d], l)
			}
			return orNil(passOverDamage(err))
		})
	}
	return found, group.Wait()
}

// tagsAndDigests are the objects of a repository's tags, and the digests of which it has a
// record.
func (r *Registry) tagsAndDigests(ctx context.Context, spellings []oci.Name) (tags []string, recorded map[oci.Digest]bool, err error) {
	recorded = map[oci.Digest]bool{}
	for _, n := range spellings {
		for ref, err := range r.records(ctx, n, "") {
			if err != nil {
				return nil, nil, err
			}
			if ref.IsDigest() {
				recorded[ref.Digest] = true
			} else {
				tags = append(tags, tagName(n, ref.Tag))
			}
		}
	}
	return tags, recorded, nil
}

// names are the leads from a tag: to what it names that is not recorded, and to all below
// that.
func (r *Registry) names(ctx context.Context, area, tag string, types map[string]oci.Digest, recorded map[oci.Digest]bool) (map[oci.Digest]lead, error) {
	found := map[oci.Digest]lead{}
	for mediaType, d := range types {
		if root := (oci.Descriptor{MediaType: mediaType, Digest: d}); !recorded[d] {
			if err := r.descend(ctx, area, lead{tag, root, mediaType}, d, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// images are the types of manifests that are no index.
var images = []string{oci.MediaTypeImageManifest, oci.MediaTypeDockerManifest}

// descend finds what a lead leads to, and what is below that.
func (r *Registry) descend(ctx context.Context, area string, l lead, d oci.Digest, found map[oci.Digest]lead) error {
	if _, ok := found[d]; ok {
		return nil
	}
	found[d] = l
	if slices.Contains(images, l.mediaType) {
		return nil
	}
	refs, err := r.references(ctx, area, d)
	if err != nil {
		return orNil(passOverDamage(err))
	}
	for _, child := range refs.Manifests {
		l.mediaType = child.MediaType
		if err := r.descend(ctx, area, l, child.Digest, found); err != nil {
			return err
		}
	}
	return nil
}

// adoption is how long a reader may keep pushes and deletions waiting.
const adoption = 5 * time.Second

// adopt records what a lead was followed from, with all below it, as if it were pushed
// now: it is found at once the next time. Nobody waits for a deletion for that, nor is
// a store that cannot be written to a reason not to answer: it is tried again after a
// while. Of several manifests of a tag none is adopted: they are told apart by when they
// were touched.
func (r *Registry) adopt(ctx context.Context, name oci.Name, t target) {
	if t.root.IsZero() || len(t.types) > 1 || !r.leads.try(digestName(name, t.root)) || !r.removing.TryRLock() {
		return
	}
	defer r.removing.RUnlock()
	ctx, stop := context.WithTimeout(ctx, adoption)
	defer stop()
	_ = r.renewManifest(ctx, name, oci.Reference{Digest: t.root})
}

// try says whether to try to store a record now: not again and again.
func (l *leads) try(record string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tried == nil {
		l.tried = map[string]time.Time{}
	}
	if time.Since(l.tried[record]) < longestListed {
		return false
	}
	l.tried[record] = time.Now()
	return true
}

// settle makes of a tag what a push would have: what it names is recorded, with all below
// it, and it names that alone.
func (r *Registry) settle(ctx context.Context, name oci.Name, tag target) error {
	if err := r.recordDigest(ctx, name, tag); err != nil && !errors.Is(err, oci.ManifestUnknown) {
		return err
	}
	if len(tag.types) == 1 {
		return nil
	}
	text, err := record(tag.MediaType, tag.Digest)
	if err != nil {
		return err
	}
	return r.replace(ctx, tag.record, text, storage.Durable)
}
