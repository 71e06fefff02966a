package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

var (
	sha256 = oci.SHA256.Sum([]byte("x")).String()
	sha512 = oci.SHA512.Sum([]byte("x")).String()
)

// parse reads a URL whose names are of no registry.
func parse(u *url.URL) (target, error) {
	h := Handler{Options: Options{Name: func(path, _ string) (oci.Name, error) { return oci.ParseName(path) }}}
	return h.parse(&http.Request{Method: http.MethodGet, URL: u})
}

func TestParse(t *testing.T) {
	for path, want := range map[string]struct {
		kind            kind
		name, reference string
	}{
		"/v2":                             {base, "", ""},
		"/v2/":                            {base, "", ""},
		"/v2/_catalog":                    {catalog, "", ""},
		"/v2/app/tags/list":               {tags, "app", ""},
		"/v2/org/app/manifests/latest":    {manifest, "org/app", "latest"},
		"/v2/org/app/manifests/" + sha256: {manifest, "org/app", sha256},
		"/v2/org/app/blobs/" + sha512:     {blob, "org/app", sha512},
		"/v2/org/app/blobs/sha256%3A" + sha256[7:]: {blob, "org/app", sha256},
		"/v2/org/app/referrers/" + sha256:          {referrers, "org/app", sha256},
		"/v2/org/app/blobs/uploads/":               {uploads, "org/app", ""},
		"/v2/org/app/blobs/uploads":                {uploads, "org/app", ""},
		"/v2/org/app/blobs/uploads/ABC-_9":         {upload, "org/app", "ABC-_9"},
		// Names may look like other parts of a path.
		"/v2/tags/list/tags/list":              {tags, "tags/list", ""},
		"/v2/blobs/uploads/manifests/list":     {manifest, "blobs/uploads", "list"},
		"/v2/a/blobs/uploads/tags/list":        {tags, "a/blobs/uploads", ""},
		"/v2/manifests/manifests/manifests":    {manifest, "manifests", "manifests"},
		"/v2/a/manifests/blobs/blobs/uploads/": {uploads, "a/manifests/blobs", ""},
		"/v2/a/blobs/blobs/" + sha256:          {blob, "a/blobs", sha256},
		"/v2/v2/v2/referrers/" + sha256:        {referrers, "v2/v2", sha256},
	} {
		got, err := parse(mustURL(t, path))
		if err != nil || got.kind != want.kind || got.name.String() != want.name || got.reference() != want.reference {
			t.Errorf("%s is %+v, %v; want %+v", path, got, err, want)
		}
	}
}

func mustURL(t testing.TB, path string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestParseRefuses(t *testing.T) {
	for path, want := range map[string]oci.Code{
		"/":                          oci.NameUnknown,
		"/v1/":                       oci.NameUnknown,
		"/v2x/":                      oci.NameUnknown,
		"/v2/app":                    oci.NameUnknown,
		"/v2/app/tags":               oci.NameUnknown,
		"/v2/app/manifests//latest":  oci.NameInvalid,
		"/v2/a/blobs/uploads/../x":   oci.NameInvalid,
		"/v2/a/blobs/sha256:../../x": oci.NameInvalid,
		"/v2/app/tags//list":         oci.NameInvalid,
		"/v2//":                      oci.NameInvalid,
		"/v2/app/blobs/uploads/" + strings.Repeat("A", 65): oci.BlobUploadUnknown,
		"/v2/app/tags/all":                                      oci.NameUnknown,
		"/v2//manifests/latest":                                 oci.NameInvalid,
		"/v2/org//app/manifests/latest":                         oci.NameInvalid,
		"/v2/../app/manifests/latest":                           oci.NameInvalid,
		"/v2/org/%2e%2e/app/manifests/latest":                   oci.NameInvalid,
		"/v2/org%2Fapp/manifests/latest":                        oci.NameInvalid,
		"/v2/org%2fapp/manifests/latest":                        oci.NameInvalid,
		"/v2/Org/manifests/latest":                              oci.NameInvalid,
		"/v2/_org/manifests/latest":                             oci.NameInvalid,
		"/v2/" + strings.Repeat("a", 256) + "/manifests/latest": oci.NameInvalid,
		"/v2/app/manifests/":                                    oci.NameUnknown,
		"/v2/app/manifests/.latest":                             oci.TagInvalid,
		"/v2/app/manifests/a%20b":                               oci.TagInvalid,
		"/v2/app/manifests/" + strings.Repeat("a", 129):         oci.TagInvalid,
		"/v2/app/manifests/sha256:short":                        oci.DigestInvalid,
		"/v2/app/manifests/md5:" + sha256[7:]:                   oci.DigestInvalid,
		"/v2/app/blobs/latest":                                  oci.DigestInvalid,
		"/v2/app/blobs/" + strings.ToUpper(sha256):              oci.DigestInvalid,
		"/v2/app/referrers/latest":                              oci.DigestInvalid,
		"/v2/app/blobs/uploads/a.b":                             oci.BlobUploadUnknown,
		"/v2/app/blobs/uploads/a/b":                             oci.NameUnknown,
	} {
		got, err := parse(mustURL(t, path))
		if fault, ok := oci.AsError(err); !ok || fault.Code != want {
			t.Errorf("%s is %+v, %v; want %s", path, got, err, want)
		}
	}
}

// What parse reads, path prints, and the other way round.
func FuzzParse(f *testing.F) {
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/b/manifests/x", "/v2/a/blobs/" + sha256,
		"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/x?ns=quay.io", "/v2/a/tags/list?ns=a%26b%20c", "/v2/blobs/uploads/referrers/" + sha512, "/v2/%2e%2e/manifests/x"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		first, err := parse(u)
		if err != nil {
			return
		}
		printed := first.url()
		if strings.TrimSuffix(first.path(), "/") != strings.TrimSuffix(u.Path, "/") {
			t.Fatalf("%q is printed as %q", u.Path, printed)
		}
		again, err := parse(mustURL(t, printed))
		if err != nil || again != first {
			t.Fatalf("%q is %+v, printed %q is %+v, %v", path, first, printed, again, err)
		}
	})
}

func TestScope(t *testing.T) {
	for path, scopes := range map[string]map[string]string{
		"/v2/":                       {http.MethodGet: ""},
		"/v2/_catalog":               {http.MethodGet: "registry:catalog:*"},
		"/v2/org/app/tags/list":      {http.MethodGet: "repository:org/app:pull"},
		"/v2/org/app/manifests/x":    {http.MethodHead: "repository:org/app:pull", http.MethodPut: "repository:org/app:pull,push", http.MethodDelete: "repository:org/app:delete"},
		"/v2/org/app/blobs/uploads/": {http.MethodPost: "repository:org/app:pull,push"},
		"/v2/org/app/blobs/uploads/?mount=" + sha256 + "&from=org/base": {http.MethodPost: "repository:org/app:pull,push repository:org/base:pull"},
		"/v2/org/app/blobs/uploads/x": {http.MethodGet: "repository:org/app:pull,push", http.MethodPatch: "repository:org/app:pull,push",
			http.MethodDelete: "repository:org/app:pull,push"},
	} {
		target, err := parse(mustURL(t, path))
		if err != nil {
			t.Fatal(err)
		}
		for method, want := range scopes {
			if got := new(Handler).scope(&http.Request{Method: method, URL: mustURL(t, path)}, target); got != want {
				t.Errorf("%s %s needs %q, want %q", method, path, got, want)
			}
		}
	}
}
