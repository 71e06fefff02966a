package upstream

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/peer"
)

const (
	// maxDocument is the most bytes of a manifest, and of a page of a listing.
	maxDocument = oci.MaxManifestSize
	// maxRefusal is the most bytes of what an upstream says about a failure.
	maxRefusal = 8 << 10
)

// digestHeader is where an upstream names the digest of a manifest.
const digestHeader = "Docker-Content-Digest"

// document is oras' HTTP client for what is small enough for memory: manifests and
// pages of listings. Answers that it gives have arrived whole, and in time. One
// operation uses it.
type document struct {
	client  *auth.Client
	timeout time.Duration
	left    int64         // bytes that the operation may still read
	digests oci.Algorithm // of manifests, where the upstream names none; empty for oras' own
	header  http.Header   // of the last answer, if it was a good one
}

// Do sends a request.
func (d *document) Do(req *http.Request) (*http.Response, error) {
	d.header = nil
	w := peer.NewWatch(req.Context(), d.timeout)
	defer w.Stop()
	resp, err := d.client.Do(req.WithContext(w.Context()))
	if err != nil {
		return nil, w.Fault(err)
	}
	defer func(body io.Closer) { _ = body.Close() }(resp.Body) // it was only read
	normalize(resp.Header)
	switch {
	case resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "text/html":
		return nil, &complaint{words: "answers with a page for people"} // a proxy's that wants a login
	case req.Method == http.MethodHead:
		resp.Body = http.NoBody
	case resp.StatusCode != http.StatusOK:
		// It must do with what is left of the time, and may be cut.
		said, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		resp.Body = io.NopCloser(bytes.NewReader(said))
	default:
		if err := d.read(resp, w); err != nil {
			return nil, err
		}
	}
	if resp.StatusCode == http.StatusOK {
		d.header = resp.Header
	}
	return resp, nil
}

// read puts the content in the place of the body.
func (d *document) read(resp *http.Response, w *peer.Watch) error {
	limit := min(maxDocument, d.left)
	if resp.ContentLength > limit {
		return &complaint{words: fmt.Sprintf("sends more than the %d bytes that are accepted", limit)}
	}
	content, err := readAll(w, resp.Body, limit)
	if err != nil {
		return err
	}
	d.left -= int64(len(content))
	resp.Body = io.NopCloser(bytes.NewReader(content))
	resp.ContentLength = int64(len(content)) // without it, oras asks once more
	if d.digests != "" && resp.Header.Get(digestHeader) == "" {
		resp.Header.Set(digestHeader, d.digests.Sum(content).String()) // oras would take sha256 for any
	}
	return nil
}

// normalize cuts what makes oras doubt a media type: its parameters.
func normalize(h http.Header) {
	if mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil {
		h.Set("Content-Type", mediaType)
	}
}

// pieceSize is how much of a document has to come in the time of a piece: one
// byte each time would be no end.
const pieceSize = 16 << 10

// readAll reads a document of at most limit bytes, and one more to notice that it
// is longer.
func readAll(w *peer.Watch, body io.Reader, limit int64) ([]byte, error) {
	var content bytes.Buffer
	body = io.LimitReader(body, limit+1)
	for {
		w.Again()
		if _, err := io.CopyN(&content, body, pieceSize); err == io.EOF {
			break
		} else if err != nil {
			return nil, w.Fault(err)
		}
	}
	if int64(content.Len()) > limit {
		return nil, &complaint{words: fmt.Sprintf("sends more than the %d bytes that are accepted", limit)}
	}
	return content.Bytes(), nil
}
