package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

func (h *Handler) putManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := h.MayPush(r.Context(), t.name); err != nil {
		return err
	}
	pushed, err := pushedTags(t, r.URL.Query()["tag"])
	if err != nil {
		return err
	}
	m, err := readManifest(w, r, t.ref)
	if err != nil {
		return err
	}
	if err := h.registry.PutManifest(r.Context(), t.name, m, pushed...); err != nil {
		return err
	}
	refs, err := m.References()
	if err != nil {
		return err
	}
	if refs.Subject != nil {
		w.Header().Set("OCI-Subject", refs.Subject.Digest.String())
	}
	if t.ref.IsDigest() {
		for _, tag := range pushed {
			w.Header().Add("OCI-Tag", tag.String())
		}
	}
	created(w, t.of(target{kind: manifest, ref: oci.Reference{Digest: m.Digest}}), m.Digest)
	return nil
}

// created answers a push with where the content is now.
func created(w http.ResponseWriter, t target, d oci.Digest) {
	w.Header().Set("Location", t.url())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
}

// mostTags may be pushed at once; the specification wants at least 10.
const mostTags = 100

// pushedTags are the tags that a push moves: that of the path, or those of the
// parameters when the path has a digest (end-7b).
func pushedTags(t target, parameters []string) ([]oci.Tag, error) {
	if !t.ref.IsDigest() {
		return []oci.Tag{t.ref.Tag}, nil
	}
	if len(parameters) > mostTags {
		return nil, oci.Errorf(oci.TagInvalid, "%d tags with one push: at most %d are allowed", len(parameters), mostTags)
	}
	var all []oci.Tag
	for _, p := range parameters {
		tag, err := oci.ParseTag(p)
		if err != nil {
			return nil, err
		}
		all = append(all, tag)
	}
	return all, nil
}

// readManifest reads the body, which is what ref says if that is a digest.
func readManifest(w http.ResponseWriter, r *http.Request, ref oci.Reference) (oci.Manifest, error) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, oci.MaxManifestSize))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return oci.Manifest{}, oci.Errorf(oci.SizeInvalid, "the manifest is larger than %d bytes", oci.MaxManifestSize)
	case err != nil:
		return oci.Manifest{}, oci.Errorf(oci.ManifestInvalid, "the body ended early: %v", err)
	}
	mediaType := r.Header.Get("Content-Type")
	if bare, _, err := mime.ParseMediaType(mediaType); err == nil && strings.Contains(mediaType, ";") {
		mediaType = bare
	}
	algorithm := oci.SHA256
	if ref.IsDigest() {
		algorithm = ref.Digest.Algorithm()
	}
	m, err := oci.NewManifest(mediaType, content, algorithm)
	if err == nil && ref.IsDigest() && ref.Digest != m.Digest {
		err = oci.Errorf(oci.DigestInvalid, "the manifest's digest is %s, and not %s", m.Digest, ref.Digest)
	}
	return m, err
}
