package shadow

import (
	"context"
	"errors"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// StatBlob describes a blob.
func (r *Registry) StatBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Descriptor, error) {
	there, err := r.Registry.StatBlob(ctx, name, d)
	if !isMiss(err) {
		return there, err
	}
	places, fault := r.places(ctx, name, d)
	if fault != nil {
		return there, fault
	}
	miss := err
	return share(ctx, r.work, blobKey{"describe", name.Area, name.Shadows, d}, func(ctx context.Context, c call[oci.Descriptor]) {
		c.end(ask(ctx, r, places, d.String(), miss, func(p place) (oci.Descriptor, error) {
			return p.StatBlob(ctx, p.name.Repository, d)
		}))
	})
}

// blobKey is what work on a blob is shared by.
type blobKey struct {
	what    string
	area    string
	shadows oci.PublicName
	digest  oci.Digest
}

// OpenBlob opens a blob. One that is not here is fetched, and can be read while it
// comes.
func (r *Registry) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	b, err := r.Registry.OpenBlob(ctx, name, d)
	if !isMiss(err) {
		return b, err
	}
	places, fault := r.places(ctx, name, d)
	switch {
	case fault != nil:
		return b, fault
	case len(places) == 0:
		return b, err
	}
	incoming, err := share(ctx, r.work, blobKey{"fetch", name.Area, name.Shadows, d},
		func(ctx context.Context, c call[*local.Incoming]) { r.transfer(ctx, name, d, places, c) })
	switch {
	case err != nil:
		return oci.Blob{}, err
	case incoming == nil: // it came while we looked
		return r.Registry.OpenBlob(ctx, name, d)
	}
	b = incoming.Open(ctx)
	b.Verify = func(ctx context.Context) error {
		err := incoming.Wait(ctx)
		if _, told := oci.AsError(err); told && !errors.Is(err, oci.Unavailable) { // it is not the client's
			return oci.Errorf(oci.Unavailable, "%s does not send the content of %s", name.Shadows.Namespace, d)
		}
		return err
	}
	return b, nil
}

// transfer fetches a blob, which can be read once it has begun. It is nil if the
// blob has come meanwhile.
func (r *Registry) transfer(ctx context.Context, name oci.Name, d oci.Digest, places []place, c call[*local.Incoming]) {
	_, miss := r.Registry.StatBlob(ctx, name, d)
	if !isMiss(miss) {
		c.end(nil, miss)
		return
	}
	begin := time.Now()
	fetching, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var from oci.PublicName
	theirs, err := ask(ctx, r, places, d.String(), miss, func(p place) (upstream.Blob, error) {
		from = p.name
		b, err := p.OpenBlob(fetching, p.name.Repository, d)
		b.Origin, b.Upstream = oci.Fetched, p.name.Namespace
		return b, err
	})
	if err != nil {
		c.end(nil, err)
		return
	}
	incoming, err := r.local.Receive(ctx, name, theirs.Descriptor)
	if err != nil {
		c.end(nil, errors.Join(err, theirs.Content.Close()))
		return
	}
	defer incoming.End(errors.New("the transfer broke off")) // were it to panic
	c.begin(incoming)
	err = errors.Join(incoming.Keep(ctx, theirs.Content, giveUp), theirs.Content.Close())
	c.end(nil, nil) // before anybody is told, and asks again
	incoming.End(err)
	switch {
	case err == nil:
		r.log.InfoContext(ctx, "blob fetched", "name", from.String(), "digest", d.String(), "bytes", theirs.Size, "duration", time.Since(begin))
	case errors.Is(err, oci.Unavailable), errors.Is(err, oci.DigestInvalid):
		r.complain(ctx, err, from, d.String())
	case ctx.Err() == nil:
		r.log.ErrorContext(ctx, "a blob cannot be kept", "name", from.String(), "digest", d.String(), "error", err)
	}
}
