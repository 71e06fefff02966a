package api

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// page is a part of a listing that a client asked for.
type page struct {
	limit int // -1: no limit
	last  string
}

func parsePage(q url.Values) (page, error) {
	p := page{limit: -1, last: q.Get("last")}
	if !q.Has("n") {
		return p, nil
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		return p, oci.Errorf(oci.PaginationInvalid, "n is %.40q: a number of entries, 0 or more, is allowed", q.Get("n"))
	}
	p.limit = n
	return p, nil
}

// collect takes a page off a listing, and sets the link to the next one.
func collect[V fmt.Stringer](w http.ResponseWriter, t target, p page, listing iter.Seq2[V, error]) ([]string, error) {
	found := []string{}
	for v, err := range listing {
		if err != nil {
			return nil, err
		}
		if p.limit == len(found) {
			if p.limit > 0 {
				next := url.Values{"n": {strconv.Itoa(p.limit)}, "last": {found[p.limit-1]}}
				if t.ns != "" {
					next.Set("ns", t.ns)
				}
				w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, t.path(), next.Encode()))
			}
			break
		}
		found = append(found, v.String())
	}
	return found, nil
}

func (h *Handler) listTags(w http.ResponseWriter, r *http.Request, t target) error {
	p, err := parsePage(r.URL.Query())
	if err != nil {
		return err
	}
	var after oci.Tag
	if p.last != "" {
		if after, err = oci.ParseTag(p.last); err != nil {
			return err
		}
	}
	found, err := collect(w, t, p, h.asked(r, t).Tags(r.Context(), t.name, after))
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", map[string]any{"name": t.name.Asked, "tags": found})
}

func (h *Handler) listRepositories(w http.ResponseWriter, r *http.Request, t target) error {
	p, err := parsePage(r.URL.Query())
	if err != nil {
		return err
	}
	found, err := collect(w, t, p, h.registry.Repositories(r.Context(), p.last))
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", map[string]any{"repositories": found})
}

func (h *Handler) listReferrers(w http.ResponseWriter, r *http.Request, t target) error {
	found := []oci.Descriptor{}
	only := r.URL.Query().Get("artifactType")
	for d, err := range h.asked(r, t).Referrers(r.Context(), t.name, t.digest) {
		if err != nil {
			return err
		}
		if only == "" || d.ArtifactType == only {
			found = append(found, d)
		}
	}
	if only != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return writeJSON(w, oci.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeImageIndex, "manifests": found,
	})
}
