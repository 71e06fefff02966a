package api

import (
	"net/http"
	"net/url"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// kind is what a path stands for.
type kind int

const (
	unknown   kind = iota // no path of the API
	base                  // /v2/
	catalog               // /v2/_catalog
	tags                  // /v2/<name>/tags/list
	referrers             // /v2/<name>/referrers/<digest>
	manifest              // /v2/<name>/manifests/<reference>
	blob                  // /v2/<name>/blobs/<digest>
	uploads               // /v2/<name>/blobs/uploads/
	upload                // /v2/<name>/blobs/uploads/<id>
)

// target is a parsed path. Which fields are set follows from the kind.
type target struct {
	kind   kind
	name   oci.Name
	ns     string        // parameter that says which registry the name is of; may be empty
	ref    oci.Reference // of a manifest
	digest oci.Digest    // of a blob, or of the subject of referrers
	upload string        // an upload's id
}

const prefix = "/v2/"

// parse reads what a request is about. What is no path of the API is NAME_UNKNOWN;
// names, tags and digests that are malformed are an error of their own. A push to a
// name that cannot be is bad input, where a pull of it is a miss.
func (h *Handler) parse(r *http.Request) (target, error) {
	t, path, err := parsePath(r.URL)
	if err == nil && t.kind != base && t.kind != catalog {
		if t.ns, err = parseNamespace(r.URL.RawQuery); err != nil {
			return target{}, err
		}
		t.name, err = h.Name(path, t.ns)
		if fault, ok := oci.AsError(err); ok && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch) {
			err = oci.Errorf(oci.NameInvalid, "%s", fault.Message)
		}
	}
	if err != nil {
		return target{}, err
	}
	return t, nil
}

// parseNamespace reads the parameter ns. Where it cannot be told, to guess would be
// to mean another image.
func parseNamespace(query string) (string, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", oci.Errorf(oci.NameInvalid, "the query cannot be read: %v", err)
	}
	for _, ns := range q["ns"] {
		if ns != q.Get("ns") {
			return "", oci.Errorf(oci.NameInvalid, "there are several namespaces in the query, %.100q and %.100q: one is allowed", q.Get("ns"), ns)
		}
	}
	return q.Get("ns"), nil
}

// parsePath reads all of a path but the name in it, which it returns.
//
// Names are of any depth and may have components like "blobs" and "tags":
// the path is read from its end.
func parsePath(u *url.URL) (t target, name string, err error) {
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return t, "", oci.Errorf(oci.NameInvalid, "the path has an encoded slash: the components of a name are joined by '/'")
	}
	path := strings.TrimSuffix(u.Path, "/")
	for component := range strings.SplitSeq(path[min(1, len(path)):], "/") {
		if component == "" && path != "" || component == "." || component == ".." {
			return t, "", oci.Errorf(oci.NameInvalid, "the path has a component %q, which no name has", component)
		}
	}
	switch path {
	case "/v2":
		return target{kind: base}, "", nil
	case prefix + "_catalog":
		return target{kind: catalog}, "", nil
	}
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return t, "", unknownPath(u.Path)
	}
	if name, ok := strings.CutSuffix(rest, "/blobs/uploads"); ok {
		return target{kind: uploads}, name, nil
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return target{kind: tags}, name, nil
	}
	front, last := cutLast(rest)
	name, collection := cutLast(front)
	if outer, ok := strings.CutSuffix(name, "/blobs"); ok && collection == "uploads" {
		if len(last) > longestID || strings.Trim(last, idCharacters) != "" {
			return t, "", oci.Errorf(oci.BlobUploadUnknown, "upload %.100q is not one of this registry", last)
		}
		return target{kind: upload, upload: last}, outer, nil
	}
	t, err = parseItem(collection, last)
	if err == nil && t.kind == unknown {
		err = unknownPath(u.Path)
	}
	return t, name, err
}

// parseItem reads the ends of paths that are a tag or a digest.
func parseItem(collection, last string) (t target, err error) {
	switch collection {
	case "manifests":
		t.kind = manifest
		t.ref, err = oci.ParseReference(last)
	case "blobs":
		t.kind = blob
		t.digest, err = oci.ParseDigest(last)
	case "referrers":
		t.kind = referrers
		t.digest, err = oci.ParseDigest(last)
	}
	return t, err
}

const longestID = 64

const idCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func unknownPath(path string) error {
	return oci.Errorf(oci.NameUnknown, "%.200q is no path of the registry's API", path)
}

// cutLast splits at the last slash.
func cutLast(s string) (front, last string) {
	i := strings.LastIndexByte(s, '/')
	return s[:max(i, 0)], s[i+1:]
}

// of is another thing in the repository of t.
func (t target) of(other target) target {
	other.name, other.ns = t.name, t.ns
	return other
}

// url is what parse reads.
func (t target) url() string {
	if t.ns == "" {
		return t.path()
	}
	return t.path() + "?" + url.Values{"ns": {t.ns}}.Encode()
}

func (t target) path() string {
	switch t.kind {
	case base:
		return prefix
	case catalog:
		return prefix + "_catalog"
	}
	path := prefix + t.name.Asked
	switch t.kind {
	case tags:
		return path + "/tags/list"
	case referrers:
		return path + "/referrers/" + t.digest.String()
	case manifest:
		return path + "/manifests/" + t.ref.String()
	case blob:
		return path + "/blobs/" + t.digest.String()
	}
	return path + "/blobs/uploads/" + t.upload
}

// reference is the last part of a path that names something: a tag, a digest or
// an upload's id.
func (t target) reference() string {
	switch t.kind {
	case manifest:
		return t.ref.String()
	case blob, referrers:
		return t.digest.String()
	}
	return t.upload
}
