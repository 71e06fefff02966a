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
	*local.Registry
	Options
	work      *work
	transfers transfers
}

// New puts a local registry before upstreams. The caller calls Close.
func New(l *local.Registry, o Options) *Registry {
	return &Registry{Registry: l, Options: o, work: newWork(o.Log), transfers: transfers{running: map[transferKey]*transfer{}}}
}

// Close ends what goes on for clients that may have left.
func (r *Registry) Close() { r.work.close() }

// upstream is the registry that a name shadows. There need not be one: a
// namespace that nobody has configured is never asked.
func (r *Registry) upstream(u oci.Upstream) (*upstream.Registry, bool) {
	up, ok := r.Upstreams[u.Namespace]
	return up, ok
}

// isMiss says whether an error of the local registry leads to an upstream.
func isMiss(err error) bool {
	return errors.Is(err, oci.BlobUnknown) || errors.Is(err, oci.ManifestUnknown) || errors.Is(err, oci.NameUnknown)
}

// complain logs that an upstream does not do what it should.
func (r *Registry) complain(ctx context.Context, err error, u oci.Upstream, what string) {
	r.Log.WarnContext(ctx, "upstream fails", "name", u.String(), "wanted", what, "error", err)
}
