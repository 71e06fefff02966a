package shadow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// StatManifest describes a manifest. One that is not here is fetched whole: who
// asks for its digest is about to ask for it.
func (r *Registry) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	d, err := r.Registry.StatManifest(ctx, name, ref)
	if !isMiss(err) {
		return d, err
	}
	m, err := r.fetchedManifest(ctx, name, ref, err)
	return m.Descriptor, err
}

// GetManifest reads a manifest.
func (r *Registry) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	m, err := r.Registry.GetManifest(ctx, name, ref)
	if !isMiss(err) {
		return m, err
	}
	return r.fetchedManifest(ctx, name, ref, err)
}

// manifestKey is what questions for a manifest are shared by.
type manifestKey struct {
	area, repository string
	shadows          oci.PublicName
	ref              oci.Reference
}

// fetchedManifest is one of an upstream's, kept or not.
func (r *Registry) fetchedManifest(ctx context.Context, name oci.Name, ref oci.Reference, miss error) (oci.Manifest, error) {
	places, err := r.places(ctx, name, ref.Digest)
	switch {
	case err != nil:
		return oci.Manifest{}, err
	case len(places) == 0:
		return oci.Manifest{}, miss
	}
	if a, err := r.kept(ctx, name, ref); err != nil || a.fresh {
		return a.Manifest, err
	}
	a, err := share(ctx, r.work, manifestKey{name.Area, name.Repository, name.Shadows, ref},
		func(ctx context.Context, c call[answer]) { c.end(r.askForManifest(ctx, name, ref, places)) })
	if a.warning != "" {
		oci.Warn(ctx, a.warning)
	}
	return a.Manifest, err
}

// answer is a manifest that was fetched.
type answer struct {
	oci.Manifest
	asOf    time.Time
	fresh   bool // the upstream need not be asked
	warning string
}

// kept is what was fetched before; the zero answer if nothing was.
func (r *Registry) kept(ctx context.Context, name oci.Name, ref oci.Reference) (answer, error) {
	m, asOf, err := r.local.FetchedManifest(ctx, name, ref)
	if errors.Is(err, oci.ManifestUnknown) {
		return answer{}, nil
	}
	m.Origin, m.Upstream = oci.Cached, name.Shadows.Namespace
	age := time.Since(asOf) // below zero where a clock was wrong
	return answer{Manifest: m, asOf: asOf, fresh: ref.IsDigest() || 0 <= age && age < r.options.TagTTL}, err
}

// askForManifest asks the upstream, and falls back to what it said before if it
// does not answer.
func (r *Registry) askForManifest(ctx context.Context, name oci.Name, ref oci.Reference, places []place) (answer, error) {
	known, err := r.kept(ctx, name, ref) // somebody may just have fetched it
	if err != nil || known.fresh {
		return known, err
	}
	said, err := r.resolve(ctx, name, ref, places, !known.Digest.IsZero())
	switch {
	case err != nil:
		return r.lastKnown(ctx, name, ref, known, err)
	case said.Digest == known.Digest:
		return known, r.local.ConfirmManifest(ctx, name, ref)
	}
	return said, r.local.KeepManifest(ctx, name, said.Manifest, ref.Tag)
}

// resolve is what the upstream says that a reference is. Of a tag that is known it
// asks by HEAD first, which Docker Hub does not count as a pull.
func (r *Registry) resolve(ctx context.Context, name oci.Name, ref oci.Reference, places []place, known bool) (answer, error) {
	miss := oci.Errorf(oci.ManifestUnknown, "manifest %s of %s is not in this registry", ref, name)
	if known {
		said, err := ask(ctx, r, places, ref.String(), miss, func(p place) (oci.Descriptor, error) {
			return p.StatManifest(ctx, p.name.Repository, ref)
		})
		if err != nil {
			return answer{}, err
		}
		if a, err := r.kept(ctx, name, oci.Reference{Digest: said.Digest}); err != nil || a.fresh {
			return a, err
		}
	}
	begin := time.Now()
	m, err := ask(ctx, r, places, ref.String(), miss, func(p place) (oci.Manifest, error) {
		m, err := p.GetManifest(ctx, p.name.Repository, ref)
		m.Origin, m.Upstream = oci.Fetched, p.name.Namespace
		return m, err
	})
	if err == nil {
		r.log.InfoContext(ctx, "manifest fetched", "name", name.Shadows.String(), "reference", ref.String(),
			"digest", m.Digest.String(), "bytes", m.Size, "duration", time.Since(begin))
	}
	return answer{Manifest: m}, err
}

// lastKnown is the answer if the upstream has given none, or what its error says.
func (r *Registry) lastKnown(ctx context.Context, name oci.Name, ref oci.Reference, known answer, err error) (answer, error) {
	switch {
	case known.Digest.IsZero():
		return answer{}, err
	case isMiss(err):
		return answer{}, errors.Join(err, r.local.ForgetManifest(ctx, name, ref))
	case !errors.Is(err, oci.Unavailable):
		return answer{}, err
	}
	r.log.WarnContext(ctx, "the last answer known is given", "name", name.Shadows.String(), "reference", ref.String(),
		"digest", known.Digest.String(), "as_of", known.asOf)
	known.Origin = oci.Stale
	known.warning = fmt.Sprintf("%s does not answer: this is %s as of %s",
		name.Shadows.Namespace, ref, known.asOf.UTC().Format(time.RFC3339))
	return known, nil
}
