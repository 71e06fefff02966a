package shadow

import (
	"context"
	"errors"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// each tries one upstream after the other, until one has what is wanted: where a
// digest (zero for none) is known to be, and the one that the name shadows.
func (r *Registry) each(ctx context.Context, name oci.Name, d oci.Digest, try func(oci.Upstream) error) error {
	if d.IsZero() {
		return try(name.Upstream)
	}
	source, err := r.Source(ctx, name.Area, d)
	switch {
	case errors.Is(err, oci.BlobUnknown):
		return try(name.Upstream)
	case err != nil:
		return err
	}
	if err = try(source); isMiss(err) && source != name.Upstream {
		return try(name.Upstream)
	}
	return err
}

// StatBlob describes a blob.
func (r *Registry) StatBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Descriptor, error) {
	there, err := r.Registry.StatBlob(ctx, name, d)
	if !isMiss(err) {
		return there, err
	}
	miss := err
	err = r.each(ctx, name, d, func(u oci.Upstream) error {
		up, ok := r.upstream(u)
		if !ok {
			return miss
		}
		there, err = up.StatBlob(ctx, u.Repository, d)
		return err
	})
	if errors.Is(err, oci.Unavailable) {
		r.complain(ctx, err, name.Upstream, d.String())
	}
	return there, err
}

// OpenBlob opens a blob. One that is not here is fetched, and can be read while it
// comes.
func (r *Registry) OpenBlob(ctx context.Context, name oci.Name, d oci.Digest) (oci.Blob, error) {
	b, err := r.Registry.OpenBlob(ctx, name, d)
	if !isMiss(err) {
		return b, err
	}
	t, err := r.join(ctx, name, d)
	if err != nil {
		return oci.Blob{}, err
	}
	select {
	case <-t.begun:
	case <-ctx.Done():
		return oci.Blob{}, ctx.Err()
	}
	switch {
	case t.err != nil:
		return oci.Blob{}, t.err
	case t.incoming == nil: // it came while we looked
		return r.Registry.OpenBlob(ctx, name, d)
	}
	return t.incoming.Open(ctx), nil
}

// transfers are the blobs that are being fetched.
type transfers struct {
	mu      sync.Mutex
	running map[transferKey]*transfer
}

type transferKey struct {
	area     string
	upstream oci.Upstream
	digest   oci.Digest
}

// transfer is a blob that is being fetched, for however many clients.
type transfer struct {
	begun    chan struct{}   // closed when the fields below are set
	incoming *local.Incoming // nil if the blob is here already
	err      error           // why it cannot be fetched
}

// join is the transfer of a blob, which it starts if there is none.
func (r *Registry) join(ctx context.Context, name oci.Name, d oci.Digest) (*transfer, error) {
	key := transferKey{name.Area, name.Upstream, d}
	r.transfers.mu.Lock()
	defer r.transfers.mu.Unlock()
	if t, ok := r.transfers.running[key]; ok {
		return t, nil
	}
	t := &transfer{begun: make(chan struct{})}
	err := r.work.start(ctx, func(ctx context.Context) {
		defer func() {
			r.transfers.mu.Lock()
			delete(r.transfers.running, key)
			r.transfers.mu.Unlock()
		}()
		r.fetchBlob(ctx, t, name, d)
	})
	if err == nil {
		r.transfers.running[key] = t
	}
	return t, err
}

// fetchBlob is a transfer from its beginning to its end.
func (r *Registry) fetchBlob(ctx context.Context, t *transfer, name oci.Name, d oci.Digest) {
	b, err := r.begin(ctx, t, name, d)
	t.err = err
	close(t.begun)
	if t.incoming == nil {
		return
	}
	begin := time.Now()
	err = errors.Join(t.incoming.Keep(ctx, b.Content), b.Content.Close())
	if err != nil {
		r.complain(ctx, err, name.Upstream, d.String())
		return
	}
	r.Log.InfoContext(ctx, "blob fetched", "name", name.Upstream.String(), "digest", d.String(), "bytes", b.Size, "duration", time.Since(begin))
}

// begin opens the upstream's blob, unless it has come meanwhile.
func (r *Registry) begin(ctx context.Context, t *transfer, name oci.Name, d oci.Digest) (b upstream.Blob, err error) {
	_, miss := r.Registry.StatBlob(ctx, name, d)
	if !isMiss(miss) {
		return b, miss
	}
	err = r.each(ctx, name, d, func(u oci.Upstream) error {
		up, ok := r.upstream(u)
		if !ok {
			return miss
		}
		b, err = up.OpenBlob(ctx, u.Repository, d)
		return err
	})
	if errors.Is(err, oci.Unavailable) {
		r.complain(ctx, err, name.Upstream, d.String())
	}
	if err != nil {
		return b, err
	}
	if t.incoming, err = r.Receive(ctx, name, b.Descriptor); err != nil {
		return b, errors.Join(err, b.Content.Close())
	}
	return b, nil
}
