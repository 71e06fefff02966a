package api_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
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

// stale is a registry that has a doubt.
type stale struct{ oci.Registry }

func (stale) Tags(ctx context.Context, _ oci.Name, _ oci.Tag) iter.Seq2[oci.Tag, error] {
	return func(func(oci.Tag, error) bool) { oci.Warn(ctx, `the "upstream" does not answer`) }
}

func TestWarnings(t *testing.T) {
	w := newDoor(stale{}).ask(http.MethodGet, "/v2/org/app/tags/list", nil)
	if got, want := w.Header().Get("Warning"), `299 - "the \"upstream\" does not answer"`; w.Code != http.StatusOK || got != want {
		t.Errorf("%d, Warning: %s; want %s", w.Code, got, want)
	}
}

// newMirror is the API in a mode of addressing.
func newMirror(mode namespace.Mode, readOnly bool) *door {
	d := newDoor(nil)
	d.Handler = api.New(local.New(memory.New()), api.Options{
		Name: mode.Name, ReadOnly: readOnly, IsPusher: nobody,
		MayPush:    func(context.Context, oci.Name) error { return nil },
		Challenges: func(_ *http.Request, scope string) []string { return []string{"Bearer " + scope} },
	})
	return d
}

// Locations and links keep the spelling of the request.
func TestSpelling(t *testing.T) {
	for _, tt := range []struct {
		mode            namespace.Mode
		path, query, as string
	}{
		{namespace.Auto, "alpine", "", ""},
		{namespace.Auto, "docker.io/alpine", "", ""},
		{namespace.Auto, "org/app", "?ns=quay.io", "quay.io"},
		{namespace.Auto, "quay.io/org/app", "?ns=quay.io", "quay.io"},
		{namespace.Path, "org/app", "?ns=localhost%3A5000", "localhost:5000"},
		{namespace.None, "org/app", "?ns=quay.io", ""}, // where ns changes nothing
	} {
		d := newMirror(tt.mode, false)
		w := d.ask(http.MethodPost, "/v2/"+tt.path+"/blobs/uploads/"+tt.query, nil)
		at := w.Header().Get("Location")
		if w.Code != http.StatusAccepted || !strings.HasPrefix(at, "/v2/"+tt.path+"/blobs/uploads/") || !strings.HasSuffix(at, tt.query) {
			t.Errorf("%s %s%s: %d, Location %s", tt.mode, tt.path, tt.query, w.Code, at)
		}
		if got := w.Header().Get("OCI-Namespace"); got != tt.as {
			t.Errorf("%s %s%s: OCI-Namespace %q, want %q", tt.mode, tt.path, tt.query, got, tt.as)
		}
		more := "&"
		if tt.query == "" {
			more = "?"
		}
		tagged := d.ask(http.MethodPut, "/v2/"+tt.path+"/manifests/"+oci.SHA256.Sum([]byte("{}")).String()+tt.query+more+"tag=1&tag=2",
			strings.NewReader("{}"), "Content-Type", "application/x")
		if tagged.Code != http.StatusCreated || !strings.HasSuffix(tagged.Header().Get("Location"), tt.query) {
			t.Errorf("%s %s%s: %d, Location %s", tt.mode, tt.path, tt.query, tagged.Code, tagged.Header().Get("Location"))
		}
		list := d.ask(http.MethodGet, "/v2/"+tt.path+"/tags/list"+tt.query+more+"n=1", nil)
		if !strings.Contains(list.Body.String(), `"name":"`+tt.path+`"`) || !strings.Contains(list.Header().Get("Link"), "/v2/"+tt.path+"/tags/list?") ||
			strings.Contains(list.Header().Get("Link"), "ns=") != (tt.query != "") {
			t.Errorf("%s %s%s: %s, Link %s", tt.mode, tt.path, tt.query, list.Body, list.Header().Get("Link"))
		}
	}
}

// Where a name has to begin with a namespace, one without is a miss to who reads
// and bad input from who pushes.
func TestNoNamespace(t *testing.T) {
	d := newMirror(namespace.Path, false)
	for method, want := range map[string]int{http.MethodGet: 404, http.MethodHead: 404, http.MethodDelete: 404, http.MethodPut: 400} {
		if w := d.ask(method, "/v2/alpine/manifests/latest", strings.NewReader("{}")); w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
	if w := d.ask(http.MethodPost, "/v2/alpine/blobs/uploads/", nil); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "NAME_INVALID") {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
}

func TestReadOnly(t *testing.T) {
	d := newMirror(namespace.Auto, true)
	for _, tt := range []struct{ method, path, allowed string }{
		{http.MethodPost, "/v2/org/app/blobs/uploads/", ""},
		{http.MethodPatch, "/v2/org/app/blobs/uploads/x", "GET"},
		{http.MethodPut, "/v2/org/app/manifests/latest", "GET, HEAD"},
		{http.MethodDelete, "/v2/org/app/blobs/" + oci.SHA256.Sum(nil).String(), "GET, HEAD"},
	} {
		w := d.ask(tt.method, tt.path, nil)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != tt.allowed || !strings.Contains(w.Body.String(), "UNSUPPORTED") {
			t.Errorf("%s %s: %d, Allow %q, %s", tt.method, tt.path, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
	if w := d.ask(http.MethodGet, "/v2/org/app/manifests/latest", nil); w.Code != http.StatusNotFound {
		t.Errorf("GET: %d", w.Code)
	}
}

// What containerd asks before a push is asked of the registry as pushers see it.
func TestAskedBeforeAPush(t *testing.T) {
	filled, d := local.New(memory.New()), &door{}
	name := func(path, _ string) (oci.Name, error) { return oci.ParseName(path) }
	blob := (&door{Handler: api.New(filled, api.Options{Name: name, MayPush: func(context.Context, oci.Name) error { return nil }})}).push(t, "content")
	d.Handler = api.New(filled, api.Options{
		Name: name, Pushes: local.New(memory.New()), IsPusher: nobody,
		Challenges: func(*http.Request, string) []string { return nil },
	})
	for accept, want := range map[string]int{
		"":                                       http.StatusOK,
		"application/vnd.oci.image.layer.v1.tar": http.StatusOK,
		"application/vnd.oci.image.layer.v1.tar, */*":                                                              http.StatusNotFound,
		oci.MediaTypeDockerManifest + ", " + oci.MediaTypeDockerList + ", " + oci.MediaTypeImageManifest + ", */*": http.StatusOK,
	} {
		if w := d.ask(http.MethodHead, blob, nil, "Accept", accept); w.Code != want {
			t.Errorf("HEAD with Accept %q: %d, want %d", accept, w.Code, want)
		}
		if w := d.ask(http.MethodGet, blob, nil, "Accept", accept); w.Code != http.StatusOK {
			t.Errorf("GET with Accept %q: %d", accept, w.Code)
		}
	}
}
