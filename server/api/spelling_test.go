package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

// newMirror is the API in a mode of addressing.
func newMirror(mode namespace.Mode, readOnly bool) *door {
	d := newDoor(nil)
	d.Handler = api.New(local.New(memory.New(), local.Options{}), api.Options{
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

// A namespace that cannot be told is not guessed.
func TestUnclearNamespaces(t *testing.T) {
	d := newMirror(namespace.Auto, false)
	for _, query := range []string{"ns=quay.io;x", "ns=%zz", "x=%zz", "ns=quay.io&ns=docker.io", "ns=quay.io&ns="} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			w := d.ask(method, "/v2/org/app/manifests/latest?"+query, strings.NewReader("{}"), "Content-Type", "application/x")
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "NAME_INVALID") {
				t.Errorf("%s ?%s: %d %s", method, query, w.Code, w.Body)
			}
		}
	}
	if w := d.ask(http.MethodGet, "/v2/org/app/manifests/latest?ns=quay.io&ns=quay.io", nil); w.Code != http.StatusNotFound {
		t.Errorf("the same twice: %d", w.Code)
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
