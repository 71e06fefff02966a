package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// door is the API before a registry.
type door struct {
	http.Handler
	log bytes.Buffer
}

func newDoor(r oci.Registry) *door {
	d := &door{}
	d.Handler = api.New(r, api.Options{
		Name:       func(path, _ string) (oci.Name, error) { return oci.ParseName(path) },
		IsPusher:   nobody,
		Login:      func(context.Context) error { return oci.Errorf(oci.Unauthorized, "log in") },
		MayPush:    func(context.Context, oci.Name) error { return nil },
		Challenges: func(_ *http.Request, scope string) []string { return []string{"Bearer " + scope} },
		Errors:     api.ErrorWriter{Log: slog.New(slog.NewTextHandler(&d.log, nil))},
	})
	return d
}

func nobody(context.Context, oci.Name) bool { return false }

func (d *door) ask(method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// push pushes a blob in one request and returns its path.
func (d *door) push(t *testing.T, content string) string {
	t.Helper()
	w := d.ask(http.MethodPost, "/v2/org/app/blobs/uploads/?digest="+oci.SHA256.Sum([]byte(content)).String(), strings.NewReader(content))
	if w.Code != http.StatusCreated {
		t.Fatalf("push: %d %s", w.Code, w.Body)
	}
	return w.Header().Get("Location")
}

// HEAD has exactly the headers of GET.
func TestHeadIsGetWithoutBody(t *testing.T) {
	d := newDoor(local.New(memory.New(), local.Options{}))
	blob := d.push(t, "{}")
	m := `{"mediaType":"` + oci.MediaTypeImageManifest + `","config":{"mediaType":"x","size":2,"digest":"` + oci.SHA256.Sum([]byte("{}")).String() + `"}}`
	if w := d.ask(http.MethodPut, "/v2/org/app/manifests/latest", strings.NewReader(m), "Content-Type", oci.MediaTypeImageManifest); w.Code != http.StatusCreated {
		t.Fatalf("push: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{blob, "/v2/org/app/manifests/latest", "/v2/org/app/tags/list", "/v2/_catalog", "/v2/org/app/manifests/none"} {
		for _, condition := range []string{"", `"` + oci.SHA256.Sum([]byte("{}")).String() + `"`} {
			get := d.ask(http.MethodGet, path, nil, "If-None-Match", condition)
			head := d.ask(http.MethodHead, path, nil, "If-None-Match", condition)
			if get.Code != head.Code || !sameHeaders(get.Header(), head.Header()) {
				t.Errorf("%s: GET %d %v, HEAD %d %v", path, get.Code, get.Header(), head.Code, head.Header())
			}
		}
	}
}

func sameHeaders(a, b http.Header) bool {
	for key := range a {
		if !slices.Equal(a[key], b[key]) {
			return false
		}
	}
	return len(a) == len(b)
}

// broken is a registry whose store cannot be read.
type broken struct{ oci.Registry }

var errDisk = errors.New("the disk at 192.0.2.7 has gone")

func (broken) OpenBlob(context.Context, oci.Name, oci.Digest) (oci.Blob, error) {
	return oci.Blob{}, errDisk
}

// A fault of the server is a 500, in the log, and not told to the client.
func TestFaultsAreLoggedAndNotTold(t *testing.T) {
	d := newDoor(broken{})
	w := d.ask(http.MethodGet, "/v2/org/app/blobs/"+oci.SHA256.Sum(nil).String(), nil)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "UNKNOWN") || strings.Contains(w.Body.String(), "192.0.2.7") {
		t.Errorf("answer: %d %s", w.Code, w.Body)
	}
	if !strings.Contains(d.log.String(), errDisk.Error()) {
		t.Errorf("the log says %s", &d.log)
	}
}

func TestWrongMethod(t *testing.T) {
	d := newDoor(local.New(memory.New(), local.Options{}))
	for path, allowed := range map[string]string{
		"/v2/":                       "GET, HEAD",
		"/v2/org/app/manifests/x":    "DELETE, GET, HEAD, PUT",
		"/v2/org/app/blobs/uploads/": "POST",
	} {
		w := d.ask("PROPFIND", path, nil)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allowed || !strings.Contains(w.Body.String(), "UNSUPPORTED") {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
}

// An announced length that does not come true is the client's fault, and what
// came is kept to be resumed.
func TestBodiesOfAnotherLength(t *testing.T) {
	d := newDoor(local.New(memory.New(), local.Options{}))
	start := d.ask(http.MethodPost, "/v2/org/app/blobs/uploads/", nil)
	at := start.Header().Get("Location")
	for _, tt := range []struct{ content, header, ranges string }{
		{"12345", "0-9", "0-4"},   // shorter than its range
		{"678", "5-7", "0-7"},     // good
		{"9abcdef", "8-9", "0-9"}, // longer than its range
	} {
		d.ask(http.MethodPatch, at, io.MultiReader(strings.NewReader(tt.content)), "Content-Range", tt.header)
		if got := d.ask(http.MethodGet, at, nil).Header().Get("Range"); got != tt.ranges {
			t.Errorf("after %q for %s the upload has %s, want %s", tt.content, tt.header, got, tt.ranges)
		}
	}
	for _, header := range []string{"5", "a-b", "9-5", "-5", "5-", "0-99999999999999999999"} {
		w := d.ask(http.MethodPatch, at, strings.NewReader("x"), "Content-Range", header)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "BLOB_UPLOAD_INVALID") {
			t.Errorf("Content-Range %s: %d %s", header, w.Code, w.Body)
		}
	}
}
