package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

// Blob is a blob that can be read while it comes.
type Blob struct {
	oci.Descriptor
	// Content ends with io.EOF after Size bytes, and not before; it is not
	// verified. When the upstream breaks off, it goes on from there. Its errors
	// are UNAVAILABLE, and those of the context that it was opened with. One
	// goroutine uses it, and closes it.
	Content io.ReadCloser
}

// StatBlob describes a blob, by HEAD. Where the answer to that does not say enough,
// it begins to get the blob. BLOB_UNKNOWN if it is not there.
func (r *Registry) StatBlob(ctx context.Context, repository string, d oci.Digest) (oci.Descriptor, error) {
	a := about{repository, "blob " + d.String(), oci.BlobUnknown}
	return through(ctx, r, a, func(repo *remote.Repository, doc *document) (oci.Descriptor, error) {
		said, err := repo.Blobs().Resolve(ctx, d.String())
		if err == nil {
			return describe(d, said.Size), nil
		}
		if doc.header == nil && !peer.IsNotOffered(err, http.MethodHead) {
			return oci.Descriptor{}, err
		}
		doc.header = nil // what goes wrong now is not about that answer
		c, err := r.open(ctx, a, d)
		if err != nil {
			return oci.Descriptor{}, err
		}
		return describe(d, c.size), c.Close()
	})
}

// describe leaves out what type the upstream calls a blob: that is for manifests to
// say.
func describe(d oci.Digest, size int64) oci.Descriptor {
	return oci.Descriptor{MediaType: oci.MediaTypeBlob, Digest: d, Size: size}
}

// OpenBlob opens a blob, as soon as the upstream says that it sends it. ctx is
// needed until the Content, which the caller closes, has been read. BLOB_UNKNOWN if
// it is not there.
func (r *Registry) OpenBlob(ctx context.Context, repository string, d oci.Digest) (Blob, error) {
	a := about{repository, "blob " + d.String(), oci.BlobUnknown}
	c, err := r.open(ctx, a, d)
	if err = r.settle(ctx, err, a); err != nil {
		return Blob{}, err
	}
	return Blob{describe(d, c.size), c}, nil
}

func (r *Registry) open(ctx context.Context, a about, d oci.Digest) (*content, error) {
	c := &content{ctx: ctx, registry: r, about: a, digest: d}
	s, size, err := c.open()
	if err != nil {
		return nil, err
	}
	c.stream, c.size = s, size
	return c, nil
}

// ask sends a request for a blob from an offset on. Without an error, the status is
// 200, or 206 where the offset is not 0; the caller closes the body.
func (r *Registry) ask(ctx context.Context, a about, d oci.Digest, offset int64) (*http.Response, error) {
	ref, err := r.reference(a)
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if r.plain {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", scheme, ref.Host(), ref.Repository, d)
	req, err := http.NewRequestWithContext(auth.AppendRepositoryScope(ctx, ref, auth.ActionPull), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := r.authorized().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent && offset > 0 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	return nil, refusal(resp)
}

// refusal is the error that oras has for an answer of that status.
func refusal(resp *http.Response) error {
	var said struct{ Errors errcode.Errors }
	// What cannot be read as an error of the specification says nothing more.
	_ = json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&said)
	return &errcode.ErrorResponse{
		Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode, Errors: said.Errors,
	}
}
