package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// mostRanges is how many a request may ask for at once. Where there are more, the answer
// is all of it (RFC 9110, section 14.2): each may cost a request to the store.
const mostRanges = 64

// serveContent answers GET and HEAD, with ranges and conditions. For HEAD the
// content may be a blank.
func serveContent(w http.ResponseWriter, r *http.Request, d oci.Descriptor, content io.ReadSeeker) error {
	w.Header().Set("Content-Type", d.MediaType)
	w.Header().Set("Docker-Content-Digest", d.Digest.String())
	w.Header().Set("ETag", `"`+d.Digest.String()+`"`)
	if strings.Count(r.Header.Get("Range"), ",") >= mostRanges {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	answer := &unlessOutOfRange{ResponseWriter: w}
	http.ServeContent(answer, r, "", time.Time{}, content)
	if answer.held {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", d.Size))
		return oci.Errorf(oci.RangeInvalid, "%.100q is no range of %d bytes", r.Header.Get("Range"), d.Size)
	}
	return nil
}

// unlessOutOfRange holds back the answer to a bad range, which http.ServeContent
// would give in plain text.
type unlessOutOfRange struct {
	http.ResponseWriter
	held bool
}

func (u *unlessOutOfRange) WriteHeader(status int) {
	if u.held = status == http.StatusRequestedRangeNotSatisfiable; !u.held {
		u.ResponseWriter.WriteHeader(status)
	}
}

func (u *unlessOutOfRange) Write(p []byte) (int, error) {
	if u.held {
		return len(p), nil
	}
	return u.ResponseWriter.Write(p)
}

// ReadFrom keeps the way open for sendfile.
func (u *unlessOutOfRange) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(u.ResponseWriter, src)
}

// blank has a length but no content: what HEAD needs of it.
func blank(d oci.Descriptor) io.ReadSeeker { return io.NewSectionReader(nil, 0, d.Size) }

func (h *Handler) getBlob(w http.ResponseWriter, r *http.Request, t target) error {
	b, err := h.registry.OpenBlob(r.Context(), t.name, t.digest)
	if err != nil {
		return err
	}
	defer func() { _ = b.Content.Close() }()
	if b.Verify == nil {
		return serveContent(w, r, b.Descriptor, b.Content)
	}
	a := &arriving{ResponseWriter: w, verify: func() error { return b.Verify(r.Context()) }}
	if err = serveContent(a, r, b.Descriptor, b.Content); err != nil {
		return err
	}
	return a.finish()
}

// arriving is an answer made of a blob that is not known to be right before its
// end has arrived. It holds back its own end until then, and its beginning until
// there is more to send than the end.
type arriving struct {
	http.ResponseWriter
	verify func() error
	status int   // that is held back; 0: none
	length int64 // of the answer
	n      int64 // bytes sent
}

func (a *arriving) WriteHeader(status int) {
	a.length, _ = strconv.ParseInt(a.Header().Get("Content-Length"), 10, 64)
	a.status = status
}

func (a *arriving) Write(p []byte) (int, error) {
	if a.n+int64(len(p)) >= a.length {
		if err := a.verify(); err != nil {
			return 0, err
		}
	}
	a.begin()
	n, err := a.ResponseWriter.Write(p)
	a.n += int64(n)
	if err == nil && a.n < a.length { // the next piece may take its time
		err = http.NewResponseController(a.ResponseWriter).Flush()
	}
	return n, err
}

func (a *arriving) begin() {
	if a.status != 0 {
		a.ResponseWriter.WriteHeader(a.status)
		a.status = 0
	}
}

// finish ends the answer. Where nothing was sent yet, the error is one to tell;
// otherwise the connection is cut, lest the answer look whole.
func (a *arriving) finish() error {
	switch {
	case a.n == a.length && a.status == 0:
		return nil
	case a.n > 0:
		panic(http.ErrAbortHandler)
	}
	if a.length > 0 || a.status < http.StatusMultipleChoices {
		if err := a.verify(); err != nil {
			for _, header := range []string{"Accept-Ranges", "Content-Range", "Docker-Content-Digest", "Etag"} {
				a.Header().Del(header)
			}
			return err
		}
	}
	a.begin()
	if a.length > 0 {
		panic(http.ErrAbortHandler) // the client has gone
	}
	return nil
}

// asked is the registry that a request to read is for.
func (h *Handler) asked(r *http.Request, t target) oci.Registry {
	if isBeforePush(r) || r.Method == http.MethodHead && h.IsPusher(r.Context(), t.name) {
		return h.Pushes
	}
	return h.registry
}

// isBeforePush recognizes what containerd, BuildKit and Docker 29 ask before a push,
// and before they have a token that says so: they name the one type of what they
// have, and any, where a pull names all the types that it takes.
func isBeforePush(r *http.Request) bool {
	_, others, ok := strings.Cut(r.Header.Get("Accept"), ", ")
	return r.Method == http.MethodHead && ok && others == "*/*"
}

// isBeforePut says whether a HEAD of a manifest comes before its PUT, from somebody
// who has not said who they are. They are challenged at the HEAD: where all blobs
// are here the next challenge would be that of the PUT, and containerd 2, of which
// Docker 29 is made, waits for ever if it gets no token for that.
func (h *Handler) isBeforePut(r *http.Request) bool {
	return isBeforePush(r) && !h.ReadOnly && h.Login(r.Context()) != nil
}

func (h *Handler) statBlob(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := h.asked(r, t).StatBlob(r.Context(), t.name, t.digest)
	if err != nil {
		return err
	}
	return serveContent(w, r, d, blank(d))
}

func (h *Handler) deleteBlob(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.registry.DeleteBlob(r.Context(), t.name, t.digest); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// accepting is the request's context with the media types that the client names, in
// its order.
func accepting(r *http.Request) context.Context {
	var all []string
	for _, accept := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(accept, ",") {
			mediaType, _, _ := strings.Cut(one, ";")
			all = append(all, strings.TrimSpace(mediaType))
		}
	}
	return oci.Accepting(r.Context(), all)
}

func (h *Handler) getManifest(w http.ResponseWriter, r *http.Request, t target) error {
	m, err := h.registry.GetManifest(accepting(r), t.name, t.ref)
	if err != nil {
		return err
	}
	return serveContent(w, r, m.Descriptor, bytes.NewReader(m.Content))
}

func (h *Handler) statManifest(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := h.asked(r, t).StatManifest(accepting(r), t.name, t.ref)
	if h.isBeforePut(r) && (!t.ref.IsDigest() || errors.Is(err, oci.ManifestUnknown) || errors.Is(err, oci.NameUnknown)) {
		if refused := h.MayPush(r.Context(), t.name); refused != nil {
			return refused
		}
	}
	if err != nil {
		return err
	}
	return serveContent(w, r, d, blank(d))
}

func (h *Handler) deleteManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.registry.DeleteManifest(r.Context(), t.name, t.ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
