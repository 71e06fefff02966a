package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// arriving is a registry of one blob, which is being fetched.
type arriving struct {
	oci.Registry
	size    int64
	content string
	fault   error // of what comes in the end
}

func (a arriving) OpenBlob(_ context.Context, _ oci.Name, d oci.Digest) (oci.Blob, error) {
	content := io.NewSectionReader(strings.NewReader(a.content), 0, a.size)
	return oci.Blob{
		Descriptor: oci.Descriptor{MediaType: oci.MediaTypeBlob, Digest: d, Size: a.size},
		Content:    closer{content},
		Verify:     func(context.Context) error { return a.fault },
	}, nil
}

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// No answer made of a blob that turns out to be wrong ends well: neither the whole
// nor a part of it.
func TestAnswersFromAnArrivingBlob(t *testing.T) {
	wrong := oci.Errorf(oci.DigestInvalid, "wrong")
	for what, tt := range map[string]struct {
		blob   arriving
		ranges string
		want   string // empty: no good end
	}{
		"right":                {arriving{size: 7, content: "content"}, "", "content"},
		"right, a part":        {arriving{size: 7, content: "content"}, "bytes=1-3", "ont"},
		"right, empty":         {arriving{}, "", "(empty)"},
		"wrong":                {arriving{size: 7, content: "content", fault: wrong}, "", ""},
		"wrong, the first":     {arriving{size: 7, content: "content", fault: wrong}, "bytes=0-1", ""},
		"wrong, some parts":    {arriving{size: 7, content: "content", fault: wrong}, "bytes=0-1,3-4", ""},
		"wrong, empty":         {arriving{fault: wrong}, "", ""},
		"shorter, and no word": {arriving{size: 7, content: "conte"}, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			s := httptest.NewServer(newDoor(tt.blob))
			defer s.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/org/app/blobs/"+oci.SHA256.Sum(nil).String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.ranges != "" {
				r.Header.Set("Range", tt.ranges)
			}
			got := ""
			answer, err := http.DefaultClient.Do(r)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				got = string(body)
				if err == nil && answer.StatusCode > http.StatusPartialContent {
					err = errors.New(answer.Status)
				}
				if got == "" {
					got = "(empty)"
				}
			}
			if ended := err == nil; ended != (tt.want != "") || ended && got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
