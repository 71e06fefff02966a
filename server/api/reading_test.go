package api_test

import (
	"context"
	"iter"
	"net/http"
	"testing"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
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

// What containerd asks before a push is asked of the registry as pushers see it,
// by whom may push.
func TestAskedBeforeAPush(t *testing.T) {
	filled, d := local.New(memory.New()), &door{}
	name := func(path, _ string) (oci.Name, error) { return oci.ParseName(path) }
	anybody := func(context.Context, oci.Name) error { return nil }
	blob := (&door{Handler: api.New(filled, api.Options{Name: name, MayPush: anybody})}).push(t, "content")
	var challenge string
	options := api.Options{
		Name: name, Pushes: local.New(memory.New()), IsPusher: nobody, MayPush: anybody,
		Challenges: func(_ *http.Request, scope string) []string { challenge = scope; return nil },
	}
	d.Handler = api.New(filled, options)
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

	const ask = "application/vnd.oci.image.layer.v1.tar, */*"
	options.MayPush = func(context.Context, oci.Name) error { return oci.Errorf(oci.Unauthorized, "nobody may push") }
	d.Handler = api.New(filled, options)
	w := d.ask(http.MethodHead, blob, nil, "Accept", ask)
	if want := "repository:org/app:pull,push"; w.Code != http.StatusUnauthorized || challenge != want {
		t.Errorf("HEAD before a push by nobody: %d, challenged to get %q; want 401, %q", w.Code, challenge, want)
	}
	options.ReadOnly = true
	d.Handler = api.New(filled, options)
	if w := d.ask(http.MethodHead, blob, nil, "Accept", ask); w.Code == http.StatusUnauthorized {
		t.Error("HEAD before a push is challenged where there are none")
	}
}
