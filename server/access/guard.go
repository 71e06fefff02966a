package access

import (
	"context"
	"iter"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// guard asks the grant in the context before each call. It embeds nothing, so
// that a new method of oci.Registry cannot slip by.
type guard struct{ registry oci.Registry }

// Guard lets pass what the request's grant (WithGrant) allows. Without a grant
// nothing is allowed.
func Guard(r oci.Registry) oci.Registry { return guard{r} }

func may(ctx context.Context, action string, name oci.Name) error {
	return GrantOf(ctx).allows(TypeRepository, name.Asked, action)
}

// IsPusher says whether the request has a token to push to a repository. Clients ask
// with it what they need not push.
func IsPusher(ctx context.Context, name oci.Name) bool {
	return GrantOf(ctx).ByToken && MayPush(ctx, name) == nil
}

// MayPush says why the request may not push to a repository. It is for those who
// would read a body before they call a method that the guard refuses.
func MayPush(ctx context.Context, name oci.Name) error { return may(ctx, Push, name) }

func (g guard) StatBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Descriptor, error) {
	if err := may(ctx, Pull, name); err != nil {
		return oci.Descriptor{}, err
	}
	return g.registry.StatBlob(ctx, name, d)
}

func (g guard) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	if err := may(ctx, Pull, name); err != nil {
		return oci.Blob{}, err
	}
	return g.registry.OpenBlob(ctx, name, d)
}

// MountBlob needs the right to read the source, too, if one is named: clients ask
// for a token of both, when the challenge does.
func (g guard) MountBlob(ctx context.Context, name, from oci.Name, d oci.Digest) (oci.Descriptor, error) {
	if err := may(ctx, Push, name); err != nil {
		return oci.Descriptor{}, err
	}
	if !from.IsZero() {
		if err := may(ctx, Pull, from); err != nil {
			return oci.Descriptor{}, err
		}
	}
	return g.registry.MountBlob(ctx, name, from, d)
}

func (g guard) DeleteBlob(ctx context.Context, name oci.Name, d oci.Digest) error {
	if err := may(ctx, Delete, name); err != nil {
		return err
	}
	return g.registry.DeleteBlob(ctx, name, d)
}

func (g guard) StartUpload(ctx context.Context, name oci.Name) (oci.Upload, error) {
	if err := may(ctx, Push, name); err != nil {
		return nil, err
	}
	return g.registry.StartUpload(ctx, name)
}

func (g guard) ResumeUpload(ctx context.Context, name oci.Name, id string) (oci.Upload, error) {
	if err := may(ctx, Push, name); err != nil {
		return nil, err
	}
	return g.registry.ResumeUpload(ctx, name, id)
}

func (g guard) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	if err := may(ctx, Pull, name); err != nil {
		return oci.Descriptor{}, err
	}
	return g.registry.StatManifest(ctx, name, ref)
}

func (g guard) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	if err := may(ctx, Pull, name); err != nil {
		return oci.Manifest{}, err
	}
	return g.registry.GetManifest(ctx, name, ref)
}

func (g guard) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	if err := may(ctx, Push, name); err != nil {
		return err
	}
	return g.registry.PutManifest(ctx, name, m, tags...)
}

func (g guard) DeleteManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	if err := may(ctx, Delete, name); err != nil {
		return err
	}
	return g.registry.DeleteManifest(ctx, name, ref)
}

func (g guard) Repositories(ctx context.Context, after string) iter.Seq2[oci.Name, error] {
	if err := MayList(ctx); err != nil {
		return refused[oci.Name](err)
	}
	return g.registry.Repositories(ctx, after)
}

func (g guard) Tags(ctx context.Context, name oci.Name, after oci.Tag) iter.Seq2[oci.Tag, error] {
	if err := may(ctx, Pull, name); err != nil {
		return refused[oci.Tag](err)
	}
	return g.registry.Tags(ctx, name, after)
}

func (g guard) Referrers(ctx context.Context, name oci.Name, d oci.Digest) iter.Seq2[oci.Descriptor, error] {
	if err := may(ctx, Pull, name); err != nil {
		return refused[oci.Descriptor](err)
	}
	return g.registry.Referrers(ctx, name, d)
}

func refused[V any](err error) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var none V
		yield(none, err)
	}
}
