package shadow

import (
	"context"
	"errors"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// pushPatience is how long a push waits for an upstream that may spare it
// something.
const pushPatience = 10 * time.Second

// MountBlob finds a blob in the registry, or else at the upstream of the
// repository that it is to come from, to be fetched when it is asked for. A push
// does not depend on that: where the upstream does not answer, the blob is not
// there, and the client sends it.
func (r *Registry) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	b, err := r.Registry.MountBlob(ctx, name, from, d)
	p, ok := r.place(from.Shadows)
	if !isMiss(err) || !ok || from.Area != name.Area {
		return b, err
	}
	var there oci.Descriptor
	found, fault := r.find(ctx, name, p, []wanted{{d, func(ctx context.Context) (err error) {
		there, err = p.StatBlob(ctx, p.name.Repository, d)
		return err
	}}})
	switch {
	case fault != nil:
		return b, fault
	case !found:
		return b, err
	}
	return there, nil
}

// PutManifest stores a manifest. What it refers to may be the upstream's.
func (r *Registry) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	if p, ok := r.place(name.Shadows); ok {
		missing, err := r.local.Missing(ctx, name, m)
		if err != nil {
			return err
		}
		var all []wanted
		for _, d := range missing.Blobs {
			all = append(all, wanted{d.Digest, func(ctx context.Context) error {
				_, err := p.StatBlob(ctx, p.name.Repository, d.Digest)
				return err
			}})
		}
		for _, d := range missing.Manifests {
			all = append(all, wanted{d.Digest, func(ctx context.Context) error {
				_, err := p.StatManifest(ctx, p.name.Repository, oci.Reference{Digest: d.Digest})
				return err
			}})
		}
		if _, err := r.find(ctx, name, p, all); err != nil {
			return err
		}
	}
	return r.Registry.PutManifest(ctx, name, m, tags...)
}

// wanted is something that a push refers to, and how to look for it.
type wanted struct {
	digest oci.Digest
	look   func(context.Context) error
}

// find looks for what is not here, notes where it is found, and says whether all of
// it was. An error is one of the store.
func (r *Registry) find(ctx context.Context, name oci.Name, p place, all []wanted) (found bool, err error) {
	const atOnce = 8
	looking, stop := context.WithTimeout(ctx, pushPatience)
	defer stop()
	errs := make([]error, len(all))
	turns := make(chan struct{}, atOnce)
	var doing sync.WaitGroup
	for i, one := range all {
		turns <- struct{}{}
		doing.Go(func() {
			defer func() { <-turns }()
			if errs[i] = one.look(looking); errs[i] == nil {
				errs[i] = r.local.KeepSource(ctx, name.Area, one.digest, p.name)
			}
			if errs[i] != nil {
				stop() // the others cannot make up for it
			}
		})
	}
	doing.Wait()
	return r.judge(ctx, p, errs)
}

// judge says what became of looking.
func (r *Registry) judge(ctx context.Context, p place, errs []error) (found bool, fault error) {
	found = true
	for _, err := range errs {
		switch {
		case err == nil:
			continue
		case errors.Is(err, oci.Unavailable), errors.Is(err, context.DeadlineExceeded):
			r.complain(ctx, err, p.name, "what a push refers to")
		case !isMiss(err) && !errors.Is(err, context.Canceled):
			fault = err
		}
		found = false
	}
	return found, errors.Join(fault, ctx.Err())
}

// Pushes is the registry as pushers see it: it answers from the store alone, lest
// an upstream stop a push or make it look done, and looks at upstreams only for
// what a manifest refers to.
func (r *Registry) Pushes() oci.Registry { return pushes{r.Registry, r} }

type pushes struct {
	oci.Registry
	shadow *Registry
}

// StatManifest makes young what it finds: the pusher need not push it.
func (p pushes) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	return p.shadow.local.RenewManifest(ctx, name, ref)
}

func (p pushes) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	return p.shadow.MountBlob(ctx, name, from, d)
}

func (p pushes) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	return p.shadow.PutManifest(ctx, name, m, tags...)
}
