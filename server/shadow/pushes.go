package shadow

import (
	"context"
	"errors"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
)

// mountPatience is how long a push waits for an upstream that may spare it a blob.
const mountPatience = 5 * time.Second

// MountBlob finds a blob in the registry, or else at the upstream of the
// repository that it is to come from, to be fetched when it is asked for. A push
// does not depend on that: where the upstream does not answer, the blob is not
// there, and the client sends it.
func (r *Registry) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	b, err := r.Registry.MountBlob(ctx, name, from, d)
	up, ok := r.upstream(from.Upstream)
	if !isMiss(err) || !ok || from.Area != name.Area {
		return b, err
	}
	asking, cancel := context.WithTimeout(ctx, mountPatience)
	defer cancel()
	there, fault := up.StatBlob(asking, from.Upstream.Repository, d)
	if fault != nil {
		if errors.Is(fault, oci.Unavailable) {
			r.complain(ctx, fault, from.Upstream, d.String())
		}
		return b, err
	}
	return there, r.KeepSource(ctx, name.Area, d, from.Upstream)
}

// PutManifest stores a manifest. What it refers to may be the upstream's.
func (r *Registry) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	up, ok := r.upstream(name.Upstream)
	if ok {
		missing, err := r.Missing(ctx, name, m)
		if err != nil {
			return err
		}
		r.findSources(ctx, name, missing.Blobs, func(d oci.Digest) error {
			_, err := up.StatBlob(ctx, name.Upstream.Repository, d)
			return err
		})
		r.findSources(ctx, name, missing.Manifests, func(d oci.Digest) error {
			_, err := up.StatManifest(ctx, name.Upstream.Repository, oci.Reference{Digest: d})
			return err
		})
	}
	return r.Registry.PutManifest(ctx, name, m, tags...)
}

// findSources looks at the upstream for what a manifest refers to and is not here.
// What it does not find, PutManifest of the local registry misses.
func (r *Registry) findSources(ctx context.Context, name oci.Name, missing []oci.Descriptor, find func(oci.Digest) error) {
	const atOnce = 8
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, d := range missing {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			err := find(d.Digest)
			if err == nil {
				err = r.KeepSource(ctx, name.Area, d.Digest, name.Upstream)
			}
			if err != nil && !isMiss(err) {
				r.complain(ctx, err, name.Upstream, d.Digest.String())
			}
		})
	}
	all.Wait()
}

// Pushes is the registry as pushers see it: it answers from the store alone, lest
// an upstream stop a push or make it look done, and looks at upstreams only for
// what a manifest refers to.
func (r *Registry) Pushes() oci.Registry { return pushes{r.Registry, r} }

type pushes struct {
	*local.Registry
	shadow *Registry
}

func (p pushes) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	return p.shadow.MountBlob(ctx, name, from, d)
}

func (p pushes) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	return p.shadow.PutManifest(ctx, name, m, tags...)
}
