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
	ours := r.Registry.Tags(ctx, name, after)
	up, ok := r.upstream(name.Upstream)
	if !ok {
		return ours
	}
	return func(yield func(oci.Tag, error) bool) {
		if err := fault(ours); err != nil {
			yield(oci.Tag{}, err)
			return
		}
		theirs, err := once(ctx, r.work, "tags "+name.Upstream.String(),
			func(ctx context.Context) ([]oci.Tag, error) { return up.Tags(ctx, name.Upstream.Repository) })
		if !r.excusable(ctx, err, name.Upstream, "tags") {
			yield(oci.Tag{}, err)
			return
		}
		theirs = slices.DeleteFunc(slices.Clone(theirs), func(t oci.Tag) bool { return t.String() <= after.String() })
		unite(orElse(ours, err), theirs, oci.Tag.String)(yield)
	}
}

// Referrers unites the referrers that were pushed with the upstream's, as Tags
// does.
func (r *Registry) Referrers(ctx context.Context, name oci.Name, subject oci.Digest) iter.Seq2[oci.Descriptor, error] {
	ours := r.Registry.Referrers(ctx, name, subject)
	up, ok := r.upstream(name.Upstream)
	if !ok {
		return ours
	}
	return func(yield func(oci.Descriptor, error) bool) {
		if err := fault(ours); err != nil {
			yield(oci.Descriptor{}, err)
			return
		}
		theirs, err := once(ctx, r.work, "referrers "+name.Upstream.String()+" "+subject.String(),
			func(ctx context.Context) ([]oci.Descriptor, error) {
				return up.Referrers(ctx, name.Upstream.Repository, subject)
			})
		if !r.excusable(ctx, err, name.Upstream, "referrers") {
			yield(oci.Descriptor{}, err)
			return
		}
		unite(ours, theirs, func(d oci.Descriptor) string { return d.Digest.String() })(yield)
	}
}

// fault is why a listing cannot even begin, for which the upstream's would be no
// excuse.
func fault[V any](ours iter.Seq2[V, error]) error {
	for _, err := range ours {
		if isMiss(err) {
			break
		}
		return err
	}
	return nil
}

// excusable says whether a listing may do without the upstream's part.
func (r *Registry) excusable(ctx context.Context, err error, u oci.Upstream, what string) bool {
	if errors.Is(err, oci.Unavailable) {
		r.complain(ctx, err, u, what)
		oci.Warn(ctx, u.Namespace+" does not answer: these are only the "+what+" that are here")
		return true
	}
	return err == nil || isMiss(err)
}

// orElse puts what the upstream said in the place of a listing's NAME_UNKNOWN:
// nothing if it has the repository.
func orElse[V any](ours iter.Seq2[V, error], theirs error) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for v, err := range ours {
			if errors.Is(err, oci.NameUnknown) {
				if err = theirs; err == nil {
					return
				}
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// unite merges two listings in the order of a key, with each key once.
func unite[V any](ours iter.Seq2[V, error], theirs []V, key func(V) string) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for v, err := range ours {
			for err == nil && len(theirs) > 0 && key(theirs[0]) <= key(v) {
				next := theirs[0]
				theirs = theirs[1:]
				if key(next) != key(v) && !yield(next, nil) {
					return
				}
			}
			if !yield(v, err) || err != nil {
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
