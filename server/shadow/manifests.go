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

// fetchedManifest is one of the upstream's, kept or not.
func (r *Registry) fetchedManifest(ctx context.Context, name oci.Name, ref oci.Reference, miss error) (oci.Manifest, error) {
	if _, ok := r.upstream(name.Upstream); !ok {
		return oci.Manifest{}, miss
	}
	if a, err := r.kept(ctx, name, ref); err != nil || a.fresh {
		return a.Manifest, err
	}
	a, err := once(ctx, r.work, "manifest "+name.String()+" "+name.Upstream.String()+" "+ref.String(),
		func(ctx context.Context) (answer, error) { return r.askForManifest(ctx, name, ref) })
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
	m, asOf, err := r.FetchedManifest(ctx, name, ref)
	if errors.Is(err, oci.ManifestUnknown) {
		return answer{}, nil
	}
	return answer{Manifest: m, asOf: asOf, fresh: ref.IsDigest() || time.Since(asOf) < r.TagTTL}, err
}

// askForManifest asks the upstream, and falls back to what it said before if it
// does not answer.
func (r *Registry) askForManifest(ctx context.Context, name oci.Name, ref oci.Reference) (answer, error) {
	known, err := r.kept(ctx, name, ref) // somebody may just have fetched it
	if err != nil || known.fresh {
		return known, err
	}
	now, err := r.resolve(ctx, name, ref, known)
	if err != nil {
		return r.settle(ctx, name, ref, known, err)
	}
	if now.Digest == known.Digest {
		return known, r.ConfirmManifest(ctx, name, ref)
	}
	return now, r.KeepManifest(ctx, name, now.Manifest, ref.Tag)
}

// resolve is what the upstream says that a reference is. Of a tag that is known it
// asks by HEAD first, which Docker Hub does not count as a pull.
func (r *Registry) resolve(ctx context.Context, name oci.Name, ref oci.Reference, known answer) (answer, error) {
	if !known.Digest.IsZero() {
		up, _ := r.upstream(name.Upstream)
		now, err := up.StatManifest(ctx, name.Upstream.Repository, ref)
		if err != nil {
			return answer{}, err
		}
		if a, err := r.kept(ctx, name, oci.Reference{Digest: now.Digest}); err != nil || a.fresh {
			return a, err
		}
	}
	m, err := r.fetchManifest(ctx, name, ref)
	return answer{Manifest: m}, err
}

// settle is the answer that is known, given what the upstream said.
func (r *Registry) settle(ctx context.Context, name oci.Name, ref oci.Reference, known answer, err error) (answer, error) {
	switch {
	case errors.Is(err, oci.Unavailable):
		r.complain(ctx, err, name.Upstream, ref.String())
		if known.Digest.IsZero() {
			return answer{}, err
		}
		known.warning = fmt.Sprintf("%s does not answer: this is %s as of %s", name.Upstream.Namespace, ref, known.asOf.UTC().Format(time.RFC3339))
		r.Log.WarnContext(ctx, "the last answer known is given", "name", name.Upstream.String(), "reference", ref.String(),
			"digest", known.Digest.String(), "as_of", known.asOf)
		return known, nil
	case isMiss(err) && !known.Digest.IsZero():
		return answer{}, errors.Join(err, r.ForgetManifest(ctx, name, ref))
	}
	return known, err
}

// fetchManifest asks all that may have it.
func (r *Registry) fetchManifest(ctx context.Context, name oci.Name, ref oci.Reference) (m oci.Manifest, err error) {
	begin := time.Now()
	err = r.each(ctx, name, ref.Digest, func(u oci.Upstream) error {
		up, ok := r.upstream(u)
		if !ok {
			return oci.Errorf(oci.ManifestUnknown, "manifest %s of %s is not in this registry", ref, name)
		}
		m, err = up.GetManifest(ctx, u.Repository, ref)
		return err
	})
	if err == nil {
		r.Log.InfoContext(ctx, "manifest fetched", "name", name.Upstream.String(), "reference", ref.String(),
			"digest", m.Digest.String(), "bytes", m.Size, "duration", time.Since(begin))
	}
	return m, err
}
