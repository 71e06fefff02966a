package local

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Repositories lists the repositories that have a manifest which was pushed.
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[oci.Name, error] {
	if !r.options.PerNamespace {
		return r.repositories(ctx, oci.LocalArea, after)
	}
	return func(yield func(oci.Name, error) bool) {
		areas, err := r.namespaces(ctx)
		if err != nil {
			yield(oci.Name{}, err)
		}
		for _, area := range areas {
			rest, inside := strings.CutPrefix(after, area+"/")
			if !inside && area+"/" < after {
				continue
			}
			if !inside {
				rest = ""
			}
			for name, err := range r.repositories(ctx, area, rest) {
				if !yield(name, err) {
					return
				}
			}
		}
	}
}

// namespaces are the areas that are one, in the order of the names in them:
// "a-b/c" comes before "a/b", as it does in lists.
func (r *Registry) namespaces(ctx context.Context) ([]string, error) {
	var all []string
	for area, err := range r.areas(ctx) {
		if err != nil {
			return nil, err
		}
		if area != oci.LocalArea {
			all = append(all, area)
		}
	}
	return all, nil
}

func (r *Registry) repositories(ctx context.Context, area, after string) iter.Seq2[oci.Name, error] {
	return r.repositoriesIn(ctx, area, reposDirectory, after)
}

// repositoriesIn yields those of a tree of an area.
func (r *Registry) repositoriesIn(ctx context.Context, area, tree, after string) iter.Seq2[oci.Name, error] {
	return func(yield func(oci.Name, error) bool) {
		w := walk{r, ctx, path.Join(area, tree), after, func(repository string, err error) bool {
			return yield(oci.Name{Area: area, Repository: repository}, err) && err == nil
		}}
		w.below("")
	}
}

// walk goes through the tree of repositories in the byte order of their names.
type walk struct {
	registry *Registry
	ctx      context.Context // of the one call that the walk is
	root     string
	after    string
	yield    func(repository string, err error) bool
}

// below visits the repositories whose names begin with prefix, which is empty
// or ends in a slash. It returns false when the walk is over.
//
// "a-b" comes before "a/b", though "a" does before "a-b": a directory is visited
// twice, as the repository "a" and as what is below "a/".
func (w walk) below(prefix string) bool {
	var visits []string
	for e, err := range w.registry.driver.List(w.ctx, path.Join(w.root, escape(prefix)), "") {
		if err != nil {
			return w.yield("", err)
		}
		if e.Directory && e.Name != recordsDirectory {
			name := prefix + unescape(e.Name)
			visits = append(visits, name, name+"/")
		}
	}
	slices.Sort(visits)
	for _, v := range visits {
		if !w.visit(v) {
			return false
		}
	}
	return true
}

func (w walk) visit(v string) bool {
	if strings.HasSuffix(v, "/") {
		return v < w.after && !strings.HasPrefix(w.after, v) || w.below(v)
	}
	if v <= w.after {
		return true
	}
	for _, err := range w.registry.driver.List(w.ctx, path.Join(w.root, escape(v), recordsDirectory), "") {
		return w.yield(v, err)
	}
	return true // it is but a directory on the way
}

// Tags lists the tags of a repository.
func (r *Registry) Tags(ctx context.Context, name oci.Name, after oci.Tag) iter.Seq2[oci.Tag, error] {
	return func(yield func(oci.Tag, error) bool) {
		spellings, err := r.spellings(ctx, name)
		if err != nil {
			yield(oci.Tag{}, err)
			return
		}
		known := false
		for ref, err := range r.merged(ctx, spellings, after.String()) {
			known = true
			if (err != nil || !ref.IsDigest()) && !yield(ref.Tag, err) {
				return
			}
		}
		if known {
			return
		}
		for _, err := range r.merged(ctx, spellings, "") { // there are some, but none after
			if err != nil {
				yield(oci.Tag{}, err)
			}
			return
		}
		yield(oci.Tag{}, oci.Errorf(oci.NameUnknown, "repository %s is not in this registry", name))
	}
}

// merged yields the records of a repository under all its names.
func (r *Registry) merged(ctx context.Context, spellings []oci.Name, after string) iter.Seq2[oci.Reference, error] {
	all := r.records(ctx, spellings[0], after)
	for _, n := range spellings[1:] {
		all = merge(all, r.records(ctx, n, after))
	}
	return all
}

// Referrers lists the manifests with a subject.
func (r *Registry) Referrers(ctx context.Context, name oci.Name, subject oci.Digest) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		for e, err := range r.driver.List(ctx, referrersOf(name, subject), "") {
			var d oci.Descriptor
			if err == nil {
				d, err = r.referrer(ctx, path.Join(referrersOf(name, subject), e.Name))
			}
			if err == nil {
				_, err = r.driver.Stat(ctx, digestName(name, d.Digest))
			}
			if errors.Is(err, fs.ErrNotExist) {
				continue // half pushed, or deleted meanwhile
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// A referrer has the annotations of its manifest, in which each byte may have
// become an escape of six.
const maxReferrerSize = 6 * oci.MaxManifestSize

func (r *Registry) referrer(ctx context.Context, object string) (d oci.Descriptor, err error) {
	text, _, err := r.read(ctx, object, maxReferrerSize)
	if err != nil {
		return d, err
	}
	return d, decode(object, text, &d)
}
