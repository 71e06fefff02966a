package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// postUpload begins an upload; with mount it may find that none is needed, and
// with digest the whole blob is in the body.
func (h *Handler) postUpload(w http.ResponseWriter, r *http.Request, t target) (err error) {
	q := r.URL.Query()
	if q.Has("mount") {
		mounted, err := h.mount(w, r, t, q)
		if mounted || err != nil {
			return err
		}
	}
	u, err := h.registry.StartUpload(r.Context(), t.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Cancel(r.Context())) }() // unless it was closed well
	if q.Has("digest") {
		return pushWhole(w, r, t, u)
	}
	if q.Has("digest-algorithm") {
		a, err := oci.ParseAlgorithm(q.Get("digest-algorithm"))
		if err != nil {
			return err
		}
		u.Expect(a)
	}
	if err := u.Close(r.Context()); err != nil {
		return err
	}
	progress(w, t, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// mount says whether the blob could be had from elsewhere in the registry, and
// has answered then (end-11).
func (h *Handler) mount(w http.ResponseWriter, r *http.Request, t target, q url.Values) (bool, error) {
	d, err := oci.ParseDigest(q.Get("mount"))
	if err != nil {
		return false, err
	}
	var from oci.Name
	if q.Get("from") != "" {
		from, err = h.Name(q.Get("from"), t.ns)
	}
	if err == nil {
		_, err = h.registry.MountBlob(r.Context(), t.name, from, d)
	}
	switch {
	case errors.Is(err, oci.BlobUnknown), errors.Is(err, oci.NameUnknown):
		return false, nil
	case err != nil:
		return false, err
	}
	created(w, t.of(target{kind: blob, digest: d}), d)
	return true, nil
}

// pushWhole stores the body as a blob (end-4b).
func pushWhole(w http.ResponseWriter, r *http.Request, t target, u oci.Upload) error {
	d, err := oci.ParseDigest(r.URL.Query().Get("digest"))
	if err == nil {
		u.Expect(d.Algorithm())
		err = receive(r, u)
	}
	if err == nil {
		_, err = u.Commit(r.Context(), d)
	}
	if err != nil {
		return err
	}
	created(w, t.of(target{kind: blob, digest: d}), d)
	return nil
}

func (h *Handler) statUpload(w http.ResponseWriter, r *http.Request, t target) error {
	return h.take(r, t, func(u oci.Upload) error {
		progress(w, t, u)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

func (h *Handler) deleteUpload(w http.ResponseWriter, r *http.Request, t target) error {
	return h.take(r, t, func(u oci.Upload) error {
		if err := u.Cancel(r.Context()); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

func (h *Handler) patchUpload(w http.ResponseWriter, r *http.Request, t target) error {
	return h.take(r, t, func(u oci.Upload) error {
		if err := receiveInOrder(w, r, t, u); err != nil {
			return err
		}
		if err := u.Close(r.Context()); err != nil {
			return err
		}
		progress(w, t, u)
		w.WriteHeader(http.StatusAccepted)
		return nil
	})
}

func (h *Handler) putUpload(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := oci.ParseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	err = h.take(r, t, func(u oci.Upload) error {
		u.Expect(d.Algorithm())
		if err := receiveInOrder(w, r, t, u); err != nil {
			return err
		}
		_, err := u.Commit(r.Context(), d)
		return err
	})
	if errors.Is(err, oci.BlobUploadUnknown) && r.ContentLength == 0 {
		// It may be the second of two, of which the first was carried out, and its
		// answer lost with the process that gave it.
		if _, unknown := h.Pushes.MountBlob(r.Context(), t.name, oci.Name{}, d); unknown == nil {
			err = nil
		}
	}
	if err == nil {
		created(w, t.of(target{kind: blob, digest: d}), d)
	}
	return err
}

// take has a turn at the upload. Whatever arrived in it is kept.
func (h *Handler) take(r *http.Request, t target, turn func(oci.Upload) error) (err error) {
	u, err := h.registry.ResumeUpload(r.Context(), t.name, t.upload)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close(r.Context())) }()
	return turn(u)
}

// progress says how far an upload is.
func progress(w http.ResponseWriter, t target, u oci.Upload) {
	w.Header().Set("Location", t.of(target{kind: upload, upload: u.ID()}).url())
	w.Header().Set("Docker-Upload-UUID", u.ID())
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(u.Size()-1, 0)))
}

// receiveInOrder is receive, which tells a client that is out of order where it
// is.
func receiveInOrder(w http.ResponseWriter, r *http.Request, t target, u oci.Upload) error {
	err := receive(r, u)
	if errors.Is(err, oci.RangeInvalid) {
		progress(w, t, u)
	}
	return err
}

// receive appends the body to the upload.
func receive(r *http.Request, u oci.Upload) error {
	offset, length, err := chunk(r, u.Size())
	if err != nil {
		return err
	}
	b := &body{content: r.Body, want: length}
	err = u.Append(r.Context(), offset, b)
	if b.err != nil && errors.Is(err, b.err) {
		return oci.Errorf(oci.BlobUploadInvalid, "the body ended early or was too long: %v; the upload has %d bytes", b.err, u.Size())
	}
	return err
}

// body notes what was wrong with the content, to tell it from what is wrong
// with the store.
type body struct {
	content io.Reader
	want    int64 // bytes; -1: not announced
	n       int64
	err     error
}

// Read gives no more than was announced.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.content.Read(p)
	if b.want >= 0 && (b.n+int64(n) > b.want || err == io.EOF && b.n+int64(n) < b.want) {
		err = fmt.Errorf("%d bytes came, %d were announced", b.n+int64(n), b.want)
		n = int(min(int64(n), b.want-b.n))
	}
	b.n += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// The header is "<first>-<last>" in the specification, and "bytes
// <first>-<last>/<length>" in RFC 9110.
var contentRange = regexp.MustCompile(`^(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]+|\*))?$`)

// chunk says where in the blob the body belongs, and how long it is, or -1.
func chunk(r *http.Request, size int64) (offset, length int64, err error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return size, r.ContentLength, nil
	}
	m := contentRange.FindStringSubmatch(header)
	if m == nil {
		return 0, 0, oci.Errorf(oci.BlobUploadInvalid, "malformed Content-Range %.100q: <first>-<last> is allowed", header)
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // the pattern admits only what fits
	last, _ := strconv.ParseInt(m[2], 10, 64)
	length = last - first + 1
	if length < 1 || r.ContentLength >= 0 && r.ContentLength != length {
		return 0, 0, oci.Errorf(oci.BlobUploadInvalid, "Content-Range %s is of %d bytes, the body of %d", header, length, r.ContentLength)
	}
	return first, length, nil
}
