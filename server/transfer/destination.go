package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"opendev.org/zuul/zuul-registry/server/peer"
)

// destination is the repository that an image goes to: a content.Storage whose Push
// of a blob sends it only if there is no cheaper way, and begins again after
// accidents.
type destination struct {
	*endpoint
	ledger *ledger
	refers func(ocispec.Descriptor) bool // of a manifest: to another one

	sent, bytes atomic.Int64 // blobs
	changed     atomic.Bool  // has something that it did not have
}

func (i *image) destination() (*destination, error) {
	e, err := i.endpoint(&i.run.options.Destination, i.job.To)
	return &destination{endpoint: e, ledger: i.ledger()}, err
}

// asPusher has all requests go with a token for pushing. A registry that fetches
// what it does not have from elsewhere, as ours does, then answers from its own
// store alone: what is elsewhere is not copied yet.
func (d *destination) asPusher(ctx context.Context) context.Context {
	return auth.AppendRepositoryScope(ctx, d.repo.Reference, auth.ActionPull, auth.ActionPush)
}

// login gets that token. Registries that everybody may read ask for credentials
// here, and else only when it comes to writing.
func (d *destination) login(ctx context.Context) error {
	registry := &remote.Registry{}
	registry.Client, registry.Reference, registry.PlainHTTP = d.client, d.repo.Reference, d.ref.Plain
	err := registry.Ping(d.asPusher(ctx))
	var refusal *errcode.ErrorResponse
	if errors.As(err, &refusal) && refusal.StatusCode != http.StatusUnauthorized && !isAccident(err) || isAbsent(err) {
		return nil // the registry has no such address; others are what counts
	}
	return d.fault(ctx, err, "")
}

// Exists is as content.ReadOnlyStorage has it. What refers to something is never
// called there: a registry without the referrers API lists it only when it is pushed.
func (d *destination) Exists(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	if !isManifest(desc) && d.ledger.has(desc.Digest, d.ref.Repository) {
		return true, nil
	}
	there, err := d.repo.Exists(d.asPusher(ctx), desc)
	switch {
	case !there:
		d.changed.Store(true)
	case isManifest(desc) && d.refers(desc):
		there = false
	case !isManifest(desc):
		d.ledger.add(desc.Digest, d.ref.Repository)
	}
	return there, d.fault(ctx, err, describe(desc))
}

// Fetch is as content.Fetcher has it.
func (d *destination) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	stream, err := d.repo.Fetch(d.asPusher(ctx), desc)
	return stream, d.fault(ctx, err, describe(desc))
}

// Push is as content.Pusher has it, of what source.Fetch opened.
func (d *destination) Push(ctx context.Context, desc ocispec.Descriptor, from io.Reader) error {
	if b, ok := from.(*body); ok {
		return d.pushBlob(ctx, desc, b)
	}
	return d.fault(ctx, d.repo.Push(d.asPusher(ctx), desc, from), describe(desc))
}

// tag has the tag name a manifest, which makes it young to who removes what is old.
// Registries call by sha256 what has no digest yet.
func (d *destination) tag(ctx context.Context, root ocispec.Descriptor, text []byte) error {
	desc := content.NewDescriptorFromBytes(root.MediaType, text)
	// Who cannot say what the tag names, has it named once more.
	if said, err := d.repo.Resolve(d.asPusher(ctx), d.ref.Tag.String()); err != nil || said.Digest != desc.Digest {
		d.changed.Store(true)
	}
	err := d.repo.PushReference(d.asPusher(ctx), desc, bytes.NewReader(text), d.ref.Tag.String())
	return d.fault(ctx, err, "tag "+d.ref.Tag.String())
}

// pushBlob has the repository have a blob. Images that want to send the same blob to
// the same registry take turns: the second one finds it there.
func (d *destination) pushBlob(ctx context.Context, desc ocispec.Descriptor, from *body) error {
	release, err := d.ledger.take(ctx, desc.Digest)
	if err != nil {
		return err
	}
	defer release()
	if d.ledger.has(desc.Digest, d.ref.Repository) {
		return nil
	}
	defer func() { _ = from.Close() }() // it was only read
	for failures := 0; ; failures++ {
		sent, err := d.send(d.asPusher(ctx), desc, from, failures == 0)
		if err == nil {
			d.note(desc, sent)
			return nil
		}
		if fault := from.fault(); fault != nil {
			return fault
		}
		if !isBrokenUpload(err) || !d.image.patience.again(ctx, failures, accident(err)) {
			return d.fault(ctx, err, describe(desc))
		}
		if there, err := d.Exists(ctx, desc); err == nil && there {
			d.note(desc, sent) // all but the answer had come
			return nil
		}
		from = from.afresh(ctx)
	}
}

// note says that the repository has a blob now.
func (d *destination) note(desc ocispec.Descriptor, sent bool) {
	d.ledger.add(desc.Digest, d.ref.Repository)
	if sent {
		d.sent.Add(1)
		d.bytes.Add(desc.Size)
	}
}

// send has the blob mounted from where it is, or sends it. It says which.
func (d *destination) send(ctx context.Context, desc ocispec.Descriptor, from *body, mount bool) (sent bool, err error) {
	if other := d.elsewhere(desc.Digest); mount && other != "" {
		err = d.repo.Mount(ctx, desc, other, func() (io.ReadCloser, error) { sent = true; return from, nil })
		if err == nil || sent {
			return sent, err
		}
		// It may not be read there, or the registry cannot mount: then it is sent.
	}
	return true, d.repo.Push(ctx, desc, from)
}

// elsewhere is another repository of the same registry that has the blob, or empty.
func (d *destination) elsewhere(blob digest.Digest) string {
	from := d.image.job.From
	if from.registryName() == d.ref.registryName() && from.Repository != d.ref.Repository {
		return from.Repository
	}
	others := d.ledger.repositories(blob)
	if others = slices.DeleteFunc(others, func(other string) bool { return other == d.ref.Repository }); len(others) > 0 {
		return others[0]
	}
	return ""
}

// isBrokenUpload says whether it was the sending of a blob that failed, which
// retry.Transport cannot repeat. What comes before that, it has.
func isBrokenUpload(err error) bool {
	var refusal *errcode.ErrorResponse
	var request *url.Error
	switch {
	case errors.As(err, &refusal):
		return refusal.Method == http.MethodPut
	case errors.As(err, &request):
		return request.Op == "Put"
	}
	return false
}

// errUpload is an accident.
var errUpload = errors.New("the upload is lost")

// accident is err, but for refusals that mean that the registry has lost the upload
// (by a restart, for instance), or that a token has expired meanwhile.
func accident(err error) error {
	var refusal *errcode.ErrorResponse
	if errors.As(err, &refusal) {
		switch refusal.StatusCode {
		case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable:
			return errors.Join(errUpload, peer.Censored(err))
		}
	}
	return err
}
