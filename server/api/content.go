package api

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// serveContent answers GET and HEAD, with ranges and conditions. For HEAD the
// content may be a blank.
func serveContent(w http.ResponseWriter, r *http.Request, d oci.Descriptor, content io.ReadSeeker) {
	w.Header().Set("Content-Type", d.MediaType)
	w.Header().Set("Docker-Content-Digest", d.Digest.String())
	w.Header().Set("ETag", `"`+d.Digest.String()+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
}

// blank has a length but no content: what HEAD needs of it.
func blank(d oci.Descriptor) io.ReadSeeker { return io.NewSectionReader(nil, 0, d.Size) }

func (h *handler) getBlob(w http.ResponseWriter, r *http.Request, t target) error {
	b, err := h.registry.OpenBlob(r.Context(), t.name, t.digest)
	if err != nil {
		return err
	}
	defer func() { _ = b.Content.Close() }()
	serveContent(w, r, b.Descriptor, b.Content)
	return nil
}

func (h *handler) statBlob(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := h.registry.StatBlob(r.Context(), t.name, t.digest)
	if err != nil {
		return err
	}
	serveContent(w, r, d, blank(d))
	return nil
}

func (h *handler) deleteBlob(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.registry.DeleteBlob(r.Context(), t.name, t.digest); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *handler) getManifest(w http.ResponseWriter, r *http.Request, t target) error {
	m, err := h.registry.GetManifest(r.Context(), t.name, t.ref)
	if err != nil {
		return err
	}
	serveContent(w, r, m.Descriptor, bytes.NewReader(m.Content))
	return nil
}

func (h *handler) statManifest(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := h.registry.StatManifest(r.Context(), t.name, t.ref)
	if err != nil {
		return err
	}
	serveContent(w, r, d, blank(d))
	return nil
}

func (h *handler) deleteManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.registry.DeleteManifest(r.Context(), t.name, t.ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
