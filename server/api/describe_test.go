package api

import (
	"fmt"
	"net/http"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

func TestDescribe(t *testing.T) {
	h := Handler{Options: Options{Name: func(path, _ string) (oci.Name, error) { return oci.ParseName(path) }}}
	for path, want := range map[string]string{
		"/v2/":                            "base [path=/v2/]",
		"/v2/_catalog":                    "catalog [path=/v2/_catalog]",
		"/v2/app/tags/list":               "tags [name=app]",
		"/v2/app/referrers/" + sha256:     "referrers [name=app reference=" + sha256 + "]",
		"/v2/org/app/manifests/latest":    "manifest [name=org/app reference=latest]",
		"/v2/org/app/blobs/" + sha256:     "blob [name=org/app reference=" + sha256 + "]",
		"/v2/app/blobs/uploads/":          "uploads [name=app]",
		"/v2/app/blobs/uploads/ABC":       "upload [name=app reference=ABC]",
		"/v2/app/manifests/-bad":          "other [path=/v2/app/manifests/-bad]",
		"/":                               "other [path=/]",
		"/v2/app/made-up/by-somebody":     "other [path=/v2/app/made-up/by-somebody]",
		"/v2/app/manifests/latest?ns=%gh": "other [path=/v2/app/manifests/latest]",
	} {
		route, about := h.Describe(&http.Request{Method: http.MethodGet, URL: mustURL(t, path)})
		if got := fmt.Sprint(route, " ", about); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
