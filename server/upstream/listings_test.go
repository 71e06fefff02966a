package upstream_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

const list = "GET /v2/org/app/tags/list"

func TestTags(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":  `{"tags":["v2","latest","v10"]}`,
		"a": `{"tags":["-x","v2","","a/b","` + strings.Repeat("x", 200) + `"]}`,
		"b": `{"name":"org/app","tags":null}`,
		"c": `{"tags":["A","v1"]}`,
	}
	next := map[string]string{"": "a", "a": "b", "b": "c"}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last := r.URL.Query().Get("last")
		if r.URL.Query().Get("n") != "1000" {
			w.WriteHeader(http.StatusTeapot)
		}
		if next[last] != "" {
			w.Header().Set("Link", `</v2/org/app/tags/list?last=`+next[last]+`>; rel="next"`)
		}
		_, _ = fmt.Fprint(w, pages[last])
	})
	tags, err := s.open().Tags(t.Context(), "org/app")
	if got := fmt.Sprint(tags); err != nil || got != "[A latest v1 v10 v2]" {
		t.Errorf("%s, %v", got, err)
	}
	s.wasAsked(list, list, list, list)
}

func TestTagsThatCannotBeHad(t *testing.T) {
	for _, tt := range []struct {
		what   string
		answer http.HandlerFunc
		code   oci.Code
		most   int // requests
	}{
		{"404", fails(404), oci.NameUnknown, 1},
		{"401", fails(401), oci.NameUnknown, 1},
		{"400", refuses(400, oci.NameInvalid), oci.NameUnknown, 1},
		{"429", fails(429), oci.Unavailable, 1},
		{"a page for people", sends("<html>", "Content-Type", "text/html"), oci.Unavailable, 1},
		{"no JSON", sends("tags"), oci.Unavailable, 1},
		{"a page too large", sends(`{"tags":["` + strings.Repeat("x", 4<<20) + `"]}`), oci.Unavailable, 1},
		{"pages without end", sends(`{"tags":["a"]}`, "Link", `</v2/org/app/tags/list?last=a>; rel="next"`), oci.Unavailable, 2},
		{"bytes without end", sends(`{"tags":["`+strings.Repeat("x", 4_000_000)+`"]}`, "Link", `</v2/org/app/tags/list?last=a>; rel="next"`), oci.Unavailable, 20},
		{"a link to elsewhere", sends(`{"tags":["a"]}`, "Link", `<http://example.net/v2/org/app/tags/list?last=a>; rel="next"`), oci.Unavailable, 1},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			tags, err := s.open().Tags(t.Context(), "org/app")
			is(t, err, tt.code)
			if got := len(s.requests()); len(tags) > 0 || got > tt.most || got == 0 {
				t.Errorf("%d tags in %d requests", len(tags), got)
			}
		})
	}
}

// referrer is a descriptor in JSON.
func referrer(digest string, size int, mediaType string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"artifactType":"application/x","annotations":{"a":"b"}}`, mediaType, digest, size)
}

// index is one of referrers.
func index(referrers ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[` + strings.Join(referrers, ",") + `]}`
}

func TestReferrers(t *testing.T) {
	one, two := oci.SHA256.Sum([]byte("1")).String(), oci.SHA256.Sum([]byte("2")).String() // 6b86…, d473…
	const m = oci.MediaTypeImageManifest
	bad := []string{referrer("sha256:x", 1, m), referrer("", 1, m), referrer(one, -1, m), referrer(one, 1, ""), referrer(one, 1, "a b/c"), referrer(one, 1, "json")}
	good := index(append(bad, referrer(two, 2, m), referrer(one, 1, m), referrer(two, 2, m))...)
	api, schema := "/v2/org/app/referrers/"+imageDigest.String(), "/v2/org/app/manifests/"+strings.Replace(imageDigest.String(), ":", "-", 1)
	paged := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			sends(index(referrer(two, 2, m)), "Content-Type", oci.MediaTypeImageIndex, "Link", "<"+api+"?page=2>")(w, r)
			return
		}
		sends(index(referrer(one, 1, m)), "Content-Type", oci.MediaTypeImageIndex)(w, r)
	}
	asIndex := sends(good, "Content-Type", oci.MediaTypeImageIndex)
	for _, tt := range []struct {
		what        string
		api, schema http.HandlerFunc
		n           int
		code        oci.Code
	}{
		{"the API", asIndex, nil, 2, ""},
		{"the API with a parameter", sends(good, "Content-Type", oci.MediaTypeImageIndex+"; charset=utf-8"), nil, 2, ""},
		{"pages", paged, nil, 2, ""},
		{"none", sends(index(), "Content-Type", oci.MediaTypeImageIndex), nil, 0, ""},
		{"the tag schema", fails(404), asIndex, 2, ""},
		{"the tag schema, where the API is forbidden", fails(405), asIndex, 2, ""},
		{"the tag schema, where the API is a bad request", fails(400), chunked(asIndex), 2, ""},
		{"neither", fails(404), fails(404), 0, ""},
		{"no such repository", refuses(404, oci.NameUnknown), nil, 0, ""},
		{"a refusal", fails(403), nil, 0, ""},
		{"a failure", fails(429), nil, 0, oci.Unavailable},
		{"a failure of the tag schema", fails(404), fails(429), 0, oci.Unavailable},
		{"a page for people", sends("<html>", "Content-Type", "text/html"), nil, 0, oci.Unavailable},
		{"no JSON", sends("{", "Content-Type", oci.MediaTypeImageIndex), nil, 0, oci.Unavailable},
		{"pages without end", sends(index(), "Content-Type", oci.MediaTypeImageIndex, "Link", "<"+api+">"), nil, 0, oci.Unavailable},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				answer := map[string]http.HandlerFunc{api: tt.api, schema: tt.schema}[r.URL.Path]
				if answer == nil {
					t.Errorf("the upstream is asked for %s", r.URL)
					answer = hangsUp
				}
				answer(w, r)
			})
			got, err := s.open().Referrers(t.Context(), "org/app", imageDigest)
			if tt.code != "" {
				is(t, err, tt.code)
			} else if err != nil {
				t.Error(err)
			}
			if len(got) != tt.n {
				t.Fatalf("%d referrers: %v", len(got), got)
			}
			for i, want := range []string{one, two}[:tt.n] {
				d := got[i]
				if d.Digest.String() != want || d.Size != int64(i+1) || d.MediaType != m || d.ArtifactType != "application/x" || d.Annotations["a"] != "b" {
					t.Errorf("%+v, want %s", d, want)
				}
			}
		})
	}
}
