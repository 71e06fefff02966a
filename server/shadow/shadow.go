// Package shadow is the law of the registry: what was pushed here, else what the
// upstream has. What it fetches it keeps, beside what was pushed and never in its
// place.
//
// Only UNKNOWN codes of the local registry lead to an upstream. A fault of the
// store is an error: to answer it with the released image would test the wrong
// thing.
package shadow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// Options are the settings of a Registry.
type Options struct {
	Upstreams upstream.Registries
	TagTTL    time.Duration // how long a tag's answer is good without asking again; 0: it never is
	Log       *slog.Logger
}

// Registry is an oci.Registry. What it does not define is done by the local one
// alone. Make it with New.
type Registry struct {
	oci.Registry // the local one
	local        *local.Registry
	options      Options
	log          *slog.Logger
	work         *work
}

// New puts a local registry before upstreams. The caller calls Close.
func New(l *local.Registry, o Options) *Registry {
	return &Registry{Registry: l, local: l, options: o, log: o.Log, work: newWork(o.Log)}
}

// Close ends what goes on for clients that may have left.
func (r *Registry) Close() { r.work.close() }

// isMiss says whether an error leads to an upstream, or to the next one.
func isMiss(err error) bool {
	return errors.Is(err, oci.BlobUnknown) || errors.Is(err, oci.ManifestUnknown) || errors.Is(err, oci.NameUnknown)
}

// place is a repository of an upstream.
type place struct {
	*upstream.Registry
	name oci.PublicName
}

// place is where a public name leads. There need not be one: a namespace that
// nobody has configured is never asked.
func (r *Registry) place(name oci.PublicName) (place, bool) {
	up, ok := r.options.Upstreams[name.Namespace]
	return place{up, name}, ok
}

// places are where content of a digest (zero for none) can be for a name: where it
// is known to be, and in the repository that the name shadows. A name that shadows
// nothing has none.
func (r *Registry) places(ctx context.Context, name oci.Name, d oci.Digest) ([]place, error) {
	names := []oci.PublicName{name.Shadows}
	if !d.IsZero() && !name.Shadows.IsZero() {
		source, err := r.local.Source(ctx, name.Area, d)
		switch {
		case errors.Is(err, oci.BlobUnknown):
		case err != nil:
			return nil, err
		case source != name.Shadows:
			names = []oci.PublicName{source, name.Shadows}
		}
	}
	var all []place
	for _, n := range names {
		if p, ok := r.place(n); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// ask asks one place after the other, until one has what is wanted. The error is
// miss if none can be asked, and UNAVAILABLE if one of them might have it.
func ask[V any](ctx context.Context, r *Registry, places []place, wanted string, miss error, get func(place) (V, error)) (V, error) {
	var none V
	final := miss
	for i, p := range places {
		v, err := get(p)
		if errors.Is(err, oci.Unavailable) {
			r.complain(ctx, err, p.name, wanted)
		} else if !isMiss(err) {
			return v, err
		}
		if i == 0 || isMiss(final) {
			final = err
		}
	}
	return none, final
}

// complain logs that an upstream does not do what it should.
func (r *Registry) complain(ctx context.Context, err error, name oci.PublicName, wanted string) {
	r.log.WarnContext(ctx, "upstream fails", "name", name.String(), "wanted", wanted, "error", err)
}
