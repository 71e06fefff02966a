package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Blob is an open blob. Content ends well after Size bytes, and not before; its
// digest is for the caller to verify. The caller closes it.
type Blob struct {
	oci.Descriptor
	Content io.ReadCloser
}

// StatBlob describes a blob, by HEAD. BLOB_UNKNOWN or UNAVAILABLE.
func (r *Registry) StatBlob(ctx context.Context, repository string, d oci.Digest) (oci.Descriptor, error) {
	q := r.ask(ctx, repository, "blob "+d.String(), oci.BlobUnknown)
	defer q.end()
	answer, err := q.request(http.MethodHead, d, 0)
	if err != nil {
		return oci.Descriptor{}, err
	}
	_ = answer.Body.Close()
	return q.describe(answer, d)
}

// OpenBlob opens a blob. BLOB_UNKNOWN or UNAVAILABLE.
func (r *Registry) OpenBlob(ctx context.Context, repository string, d oci.Digest) (Blob, error) {
	q := r.ask(ctx, repository, "blob "+d.String(), oci.BlobUnknown)
	answer, err := q.request(http.MethodGet, d, 0)
	if err != nil {
		q.end()
		return Blob{}, err
	}
	there, err := q.describe(answer, d)
	if err != nil {
		_ = answer.Body.Close()
		q.end()
		return Blob{}, err
	}
	return Blob{there, &download{query: q, blob: there, body: answer.Body}}, nil
}

// describe is what an answer says of a blob.
func (q *query) describe(answer *http.Response, d oci.Digest) (oci.Descriptor, error) {
	if answer.ContentLength < 0 {
		return oci.Descriptor{}, q.bad(errors.New("no Content-Length"), "does not say how long it is")
	}
	return oci.Descriptor{MediaType: oci.MediaTypeBlob, Digest: d, Size: answer.ContentLength}, nil
}

// request asks for a blob from an offset on. The answer is good.
func (q *query) request(method string, d oci.Digest, offset int64) (*http.Response, error) {
	r := q.registry
	target := r.url.JoinPath("v2", q.repository, "blobs", d.String()).String()
	ctx := auth.AppendRepositoryScope(q.ctx, registry.Reference{Registry: r.url.Host, Repository: q.repository}, auth.ActionPull)
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, q.fault(err)
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, q.fault(err)
	}
	if answer.StatusCode != http.StatusOK && (offset == 0 || answer.StatusCode != http.StatusPartialContent) {
		_ = answer.Body.Close()
		return nil, q.status(answer.StatusCode, errors.New(answer.Status))
	}
	return answer, nil
}

// download is the content of a blob. It goes on where it was when the connection
// breaks or stalls.
type download struct {
	query  *query
	blob   oci.Descriptor
	body   io.ReadCloser // nil: the connection broke
	offset int64
	failed int // times since the last byte
}

// A download is given up when it has failed so often without a byte in between.
const mostFailures = 5

func (d *download) Read(p []byte) (int, error) {
	for d.offset < d.blob.Size {
		if d.body == nil {
			if err := d.resume(); err != nil && !d.mayGoOn(err) {
				return 0, err
			}
			continue
		}
		d.query.progress()
		n, err := d.body.Read(p[:min(int64(len(p)), d.blob.Size-d.offset)])
		d.query.pause() // storing what came takes as long as it takes
		d.offset += int64(n)
		if n > 0 {
			d.failed = 0
			return n, nil
		}
		if err != nil {
			d.interrupted(err)
		}
	}
	return 0, io.EOF
}

func (d *download) interrupted(why error) {
	q := d.query
	q.registry.log.InfoContext(q.caller, "a download broke off, and is resumed", "name", q.registry.namespace+"/"+q.repository,
		"digest", d.blob.Digest.String(), "offset", d.offset, "error", why)
	_ = d.body.Close()
	d.body = nil
}

// mayGoOn says whether it makes sense to try again.
func (d *download) mayGoOn(err error) bool {
	return d.failed < mostFailures && errors.Is(err, oci.Unavailable)
}

// resume asks for the rest.
func (d *download) resume() error {
	d.failed++
	old := d.query
	old.end()
	if err := sleep(old.caller, time.Duration(d.failed-1)*500*time.Millisecond); err != nil {
		return err
	}
	d.query = old.registry.ask(old.caller, old.repository, old.wanted, old.unknown)
	answer, err := d.query.request(http.MethodGet, d.blob.Digest, d.offset)
	if err != nil {
		return err
	}
	if err := d.continues(answer); err != nil {
		return errors.Join(err, answer.Body.Close())
	}
	d.body = answer.Body
	return nil
}

// continues finds the offset in an answer to a request for the rest.
func (d *download) continues(answer *http.Response) error {
	if answer.StatusCode == http.StatusPartialContent {
		want := fmt.Sprintf("bytes %d-%d/%d", d.offset, d.blob.Size-1, d.blob.Size)
		if got := answer.Header.Get("Content-Range"); got != want {
			return d.query.bad(fmt.Errorf("Content-Range %q, want %q", got, want), "does not go on where it broke off")
		}
		return nil
	}
	if answer.ContentLength != d.blob.Size {
		return d.query.bad(fmt.Errorf("%d bytes, %d before", answer.ContentLength, d.blob.Size), "sends another one now")
	}
	for left := d.offset; left > 0; { // it does not know ranges
		d.query.progress()
		n, err := io.CopyN(io.Discard, answer.Body, min(left, 1<<20))
		left -= n
		if err != nil {
			return d.query.fault(err)
		}
	}
	return nil
}

func sleep(ctx context.Context, span time.Duration) error {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *download) Close() error {
	defer d.query.end()
	if d.body == nil {
		return nil
	}
	return d.body.Close()
}
