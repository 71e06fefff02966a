package api_test

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

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

// What containerd asks before a push is asked of the registry as pushers see it.
func TestAskedBeforeAPush(t *testing.T) {
	filled, d := local.New(memory.New(), local.Options{}), &door{}
	name := func(path, _ string) (oci.Name, error) { return oci.ParseName(path) }
	anybody := func(context.Context, oci.Name) error { return nil }
	blob := (&door{Handler: api.New(filled, api.Options{Name: name, MayPush: anybody})}).push(t, "content")
	d.Handler = api.New(filled, api.Options{
		Name: name, Pushes: local.New(memory.New(), local.Options{}), IsPusher: nobody,
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

// Nobody is challenged at the HEAD before the PUT of a manifest, and only there.
func TestAskedBeforeAPut(t *testing.T) {
	const (
		missing = "/v2/org/app/manifests/latest"
		blob    = "/v2/org/app/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		ask     = oci.MediaTypeImageManifest + ", */*"
	)
	unauthorized := oci.Errorf(oci.Unauthorized, "a login is needed")
	var scope string
	for _, tt := range []struct {
		path, accept string
		known        bool // who they are
		readOnly     bool
		status       int
		scope        string
	}{
		{missing, ask, false, false, http.StatusUnauthorized, "repository:org/app:pull,push"},
		{missing, ask, true, false, http.StatusNotFound, "repository:org/app:pull"},
		{missing, ask, false, true, http.StatusNotFound, "repository:org/app:pull"},
		{missing, oci.MediaTypeImageManifest, false, false, http.StatusNotFound, "repository:org/app:pull"},
		{blob, ask, false, false, http.StatusNotFound, "repository:org/app:pull"},
	} {
		empty := local.New(memory.New(), local.Options{})
		d := &door{Handler: api.New(empty, api.Options{
			Name:     func(path, _ string) (oci.Name, error) { return oci.ParseName(path) },
			Pushes:   empty,
			IsPusher: nobody,
			ReadOnly: tt.readOnly,
			Login: func(context.Context) error {
				if tt.known {
					return nil
				}
				return unauthorized
			},
			MayPush:    func(context.Context, oci.Name) error { return unauthorized },
			Challenges: func(_ *http.Request, asked string) []string { scope = asked; return nil },
		})}
		if w := d.ask(http.MethodHead, tt.path, nil, "Accept", tt.accept); w.Code != tt.status || scope != tt.scope {
			t.Errorf("%+v: %d, challenged to get %q", tt, w.Code, scope)
		}
	}
}

// Of several manifests that a tag has in an old store, and nobody knows which is newest,
// the client gets the one that it names first.
func TestAcceptChoosesAmongOldManifests(t *testing.T) {
	store := memory.New()
	put := func(object, content string) {
		if err := store.Put(t.Context(), object, strings.NewReader(content), storage.Durable); err != nil {
			t.Fatal(err)
		}
	}
	var record []string
	for _, mediaType := range []string{oci.MediaTypeImageManifest, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList} {
		d := oci.SHA256.Sum([]byte(mediaType)).String()
		put("_local/blobs/"+d+"/data", mediaType)
		record = append(record, `"`+mediaType+`": "`+d+`"`)
	}
	put("_local/repos/org/app/manifests/latest", "{"+strings.Join(record, ", ")+"}")
	d := newDoor(local.New(store, local.Options{}))
	for _, tt := range []struct {
		accept []string
		want   string
	}{
		{[]string{oci.MediaTypeImageManifest}, oci.MediaTypeImageManifest},
		{[]string{"text/html, " + oci.MediaTypeDockerManifest + ";q=0.9," + oci.MediaTypeImageManifest}, oci.MediaTypeDockerManifest},
		{[]string{"*/*", oci.MediaTypeDockerList, oci.MediaTypeImageManifest}, oci.MediaTypeDockerList},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := httptest.NewRequest(method, "/v2/org/app/manifests/latest", nil)
			r.Header["Accept"] = tt.accept
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != tt.want {
				t.Errorf("%s with Accept %q: %d %s, want %s", method, tt.accept, w.Code, got, tt.want)
			}
		}
	}
}
