package shadow

import (
	"context"
	"errors"
	"iter"
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Tags unites the tags that were pushed with the upstream's. Where the upstream
// does not answer it lists the former, with a warning.
func (r *Registry) Tags(ctx context.Context, name oci.Name, after oci.Tag) iter.Seq2[oci.Tag, error] {
	return united[oci.Tag]{
		ours: r.Registry.Tags(ctx, name, after),
		what: "tags",
		ask: func(ctx context.Context, p place) ([]oci.Tag, error) {
			return p.Tags(ctx, p.name.Repository)
		},
		key: oci.Tag.String,
	}.list(ctx, r, name, after.String())
}

// Referrers unites the referrers that were pushed with the upstream's, as Tags
// does.
func (r *Registry) Referrers(ctx context.Context, name oci.Name, subject oci.Digest) iter.Seq2[oci.Descriptor, error] {
	return united[oci.Descriptor]{
		ours: r.Registry.Referrers(ctx, name, subject),
		what: "referrers of " + subject.String(),
		ask: func(ctx context.Context, p place) ([]oci.Descriptor, error) {
			return p.Referrers(ctx, p.name.Repository, subject)
		},
		key: func(d oci.Descriptor) string { return d.Digest.String() },
	}.list(ctx, r, name, "")
}

// united is a listing of ours and the upstream's.
type united[V any] struct {
	ours iter.Seq2[V, error]
	what string                                          // for people
	ask  func(ctx context.Context, p place) ([]V, error) // the upstream's, by ascending keys
	key  func(V) string                                  // gives the order, and tells entries apart
}

// listKey is what questions for a listing are shared by.
type listKey struct {
	name oci.PublicName
	what string
}

// list is the listing after a key. The upstream is asked only once ours has begun
// well: it is no excuse for a fault of the store.
func (u united[V]) list(ctx context.Context, r *Registry, name oci.Name, after string) iter.Seq2[V, error] {
	p, ok := r.place(name.Shadows)
	if !ok {
		return u.ours
	}
	return func(yield func(V, error) bool) {
		var theirs []V
		var missing error
		next, stop := iter.Pull2(u.ours)
		defer stop()
		ours, err, more := next()
		if err == nil || isMiss(err) {
			theirs, missing = u.theirs(ctx, r, p)
			if missing != nil && !isMiss(missing) && !errors.Is(missing, oci.Unavailable) {
				yield(ours, missing)
				return
			}
			theirs = slices.DeleteFunc(slices.Clone(theirs), func(v V) bool { return u.key(v) <= after })
		}
		if isMiss(err) { // nothing was pushed: what there is, the upstream says
			err, more = missing, missing != nil
		}
		for ; more; ours, err, more = next() {
			for err == nil && len(theirs) > 0 && u.key(theirs[0]) <= u.key(ours) {
				v := theirs[0]
				theirs = theirs[1:]
				if u.key(v) != u.key(ours) && !yield(v, nil) {
					return
				}
			}
			if !yield(ours, err) || err != nil {
				return
			}
		}
		for _, v := range theirs {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// theirs is the upstream's part, or why there is none.
func (u united[V]) theirs(ctx context.Context, r *Registry, p place) ([]V, error) {
	theirs, err := share(ctx, r.work, listKey{p.name, u.what}, func(ctx context.Context, c call[[]V]) {
		c.end(ask(ctx, r, []place{p}, u.what, nil, func(p place) ([]V, error) { return u.ask(ctx, p) }))
	})
	if errors.Is(err, oci.Unavailable) {
		oci.Warn(ctx, p.name.Namespace+" does not answer: these are only the "+u.what+" that are here")
	}
	return theirs, err
}
