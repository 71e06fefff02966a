package provenance

import (
	"context"
	"sync"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// recorder tells of what goes through it.
type recorder struct {
	oci.Registry
	note func(Event)
}

// Record has note told of all that is read, stored and deleted, but for requests whose
// client has left before there was an answer. Of blobs, that somebody asks whether they are
// there, or mounts them, says nothing about images.
func Record(r oci.Registry, note func(Event)) oci.Registry { return recorder{r, note} }

// Writes passes on what is stored and deleted. It is for where no tool pulls: who reads
// there wants to know whether something was pushed.
func Writes(note func(Event)) func(Event) {
	return func(e Event) {
		if e.Action == Push || e.Action == Delete {
			note(e)
		}
	}
}

// tell completes an event with what came of it.
func (r recorder) tell(ctx context.Context, e Event, name oci.Name, d oci.Descriptor, err error) {
	if ctx.Err() != nil && err != nil {
		return
	}
	e.Name, e.Client = name.Public(), clientOf(ctx)
	e.Digest, e.Size, e.Upstream = d.Digest, d.Size, d.Upstream
	if e.Digest.IsZero() {
		e.Digest, _ = oci.ParseDigest(e.Reference) // what was asked for
	}
	e.Origin, e.Detail = oci.OriginOf(d.Origin, err), detail(err)
	r.note(e)
}

func (r recorder) StatManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Descriptor, error) {
	d, err := r.Registry.StatManifest(ctx, name, ref)
	r.tell(ctx, Event{Action: Resolve, Kind: Manifest, Reference: ref.String()}, name, d, err)
	return d, err
}

func (r recorder) GetManifest(ctx context.Context, name oci.Name, ref oci.Reference) (oci.Manifest, error) {
	m, err := r.Registry.GetManifest(ctx, name, ref)
	r.tell(ctx, Event{Action: Pull, Kind: Manifest, Reference: ref.String()}, name, m.Descriptor, err)
	return m, err
}

// OpenBlob tells of the whole blob also where the client takes a part of it. One that is
// still arriving it tells of when somebody wants to know how that ends.
func (r recorder) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	b, err := r.Registry.OpenBlob(ctx, name, d)
	e := Event{Action: Pull, Kind: Blob, Reference: d.String()}
	if err != nil || b.Verify == nil {
		r.tell(ctx, e, name, b.Descriptor, err)
		return b, err
	}
	var told sync.Once // whether it is right is known at its end
	verify := b.Verify
	b.Verify = func(ctx context.Context) error {
		err := verify(ctx)
		told.Do(func() { r.tell(ctx, e, name, b.Descriptor, err) })
		return err
	}
	return b, nil
}

func (r recorder) PutManifest(ctx context.Context, name oci.Name, m oci.Manifest, tags ...oci.Tag) error {
	err := r.Registry.PutManifest(ctx, name, m, tags...)
	stored := oci.Descriptor{Digest: m.Digest, Size: m.Size}
	for _, t := range tags {
		r.tell(ctx, Event{Action: Push, Kind: Manifest, Reference: t.String()}, name, stored, err)
	}
	if len(tags) == 0 {
		r.tell(ctx, Event{Action: Push, Kind: Manifest, Reference: m.Digest.String()}, name, stored, err)
	}
	return err
}

func (r recorder) DeleteManifest(ctx context.Context, name oci.Name, ref oci.Reference) error {
	err := r.Registry.DeleteManifest(ctx, name, ref)
	r.tell(ctx, Event{Action: Delete, Kind: Manifest, Reference: ref.String()}, name, oci.Descriptor{Digest: ref.Digest}, err)
	return err
}

func (r recorder) DeleteBlob(ctx context.Context, name oci.Name, d oci.Digest) error {
	err := r.Registry.DeleteBlob(ctx, name, d)
	r.tell(ctx, Event{Action: Delete, Kind: Blob, Reference: d.String()}, name, oci.Descriptor{Digest: d}, err)
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
		r.tell(ctx, Event{Action: Push, Kind: Blob}, name, oci.Descriptor{}, err)
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
	u.recorder.tell(ctx, Event{Action: Push, Kind: Blob, Reference: digest.String()}, u.name, d, err)
	return d, err
}
