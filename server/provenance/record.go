package provenance

import (
	"context"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// recorder tells of what goes through it. Requests whose client has left before there was
// an answer are nothing to tell of.
type recorder struct {
	oci.Registry
	note func(Event)
}

// Record has note told of all that is read, stored and deleted. Of blobs, that somebody
// asks whether they are there, or mounts them, says nothing about images.
func Record(r oci.Registry, note func(Event)) oci.Registry { return recorder{r, note} }

// tell tells of a call, from its arguments and results.
func (r recorder) tell(ctx context.Context, a Action, k Kind, name oci.Name, reference string, d oci.Descriptor, err error) {
	if ctx.Err() != nil && err != nil {
		return
	}
	origin := outcome(d.Origin, err)
	r.note(Event{
		Action: a, Kind: k, Name: canonical(name), Reference: reference, Digest: d.Digest, Size: d.Size,
		Origin: origin.State, Upstream: origin.Upstream, Detail: detail(err), Client: clientOf(ctx),
	})
}

// canonical is what the rest of the world calls a repository, if that knows it.
func canonical(name oci.Name) string {
	if name.Shadows.IsZero() {
		return name.String()
	}
	return name.Shadows.String()
}

func (r recorder) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	d, err := r.Registry.StatManifest(ctx, name, ref)
	r.tell(ctx, Resolve, Manifest, name, ref.String(), d, err)
	return d, err
}

func (r recorder) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	m, err := r.Registry.GetManifest(ctx, name, ref)
	r.tell(ctx, Pull, Manifest, name, ref.String(), m.Descriptor, err)
	return m, err
}

// OpenBlob tells of the whole blob also where the client takes a part of it.
func (r recorder) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	b, err := r.Registry.OpenBlob(ctx, name, d)
	r.tell(ctx, Pull, Blob, name, d.String(), b.Descriptor, err)
	return b, err
}

func (r recorder) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	err := r.Registry.PutManifest(ctx, name, m, tags...)
	d := m.Descriptor
	d.Origin = oci.Origin{State: oci.Speculative}
	for _, t := range tags {
		r.tell(ctx, Push, Manifest, name, t.String(), d, err)
	}
	if len(tags) == 0 {
		r.tell(ctx, Push, Manifest, name, m.Digest.String(), d, err)
	}
	return err
}

func (r recorder) DeleteManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	err := r.Registry.DeleteManifest(ctx, name, ref)
	gone := oci.Descriptor{Digest: ref.Digest, Origin: oci.Origin{State: oci.Speculative}}
	r.tell(ctx, Delete, Manifest, name, ref.String(), gone, err)
	return err
}

func (r recorder) DeleteBlob(ctx context.Context, name oci.Name, d oci.Digest) error {
	err := r.Registry.DeleteBlob(ctx, name, d)
	r.tell(ctx, Delete, Blob, name, d.String(), oci.Descriptor{Digest: d, Origin: oci.Origin{State: oci.Kept}}, err)
	return err
}

func (r recorder) StartUpload(ctx context.Context, name oci.Name) (oci.Upload, error) {
	u, err := r.Registry.StartUpload(ctx, name)
	return r.upload(ctx, name, u, err)
}

func (r recorder) ResumeUpload(ctx context.Context, name oci.Name, id string) (oci.Upload, error) {
	u, err := r.Registry.ResumeUpload(ctx, name, id)
	return r.upload(ctx, name, u, err)
}

func (r recorder) upload(ctx context.Context, name oci.Name, u oci.Upload, err error) (oci.Upload, error) {
	if err != nil {
		r.tell(ctx, Push, Blob, name, "", oci.Descriptor{}, err)
		return nil, err
	}
	return upload{u, r, name}, nil
}

// upload tells how it ends.
type upload struct {
	oci.Upload
	recorder recorder
	name     oci.Name
}

func (u upload) Commit(ctx context.Context, digest oci.Digest) (oci.Descriptor, error) {
	d, err := u.Upload.Commit(ctx, digest)
	told := d
	told.Origin = oci.Origin{State: oci.Kept}
	u.recorder.tell(ctx, Push, Blob, u.name, digest.String(), told, err)
	return d, err
}
