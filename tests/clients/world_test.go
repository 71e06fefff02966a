package clients

import (
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// place is where tools are: with a registry that is their mirror, and upstreams.
type place struct {
	bed       *testbed.Bed
	engine    *testbed.Engine
	site      *testbed.Site
	upstreams *testbed.Upstreams
	registry  *testbed.Registry
}

// open makes a place for the test. The registry asks the upstreams for a tag each
// time.
func open(t *testing.T, bed *testbed.Bed, engine *testbed.Engine) *place {
	t.Helper()
	p := &place{bed: bed, engine: engine, site: engine.OpenSite(t)}
	p.upstreams = p.site.StartUpstreams(t)
	p.registry = p.site.StartRegistry(t, append(p.upstreams.Settings(), "ZUUL_REGISTRY_UPSTREAM_TAG_TTL=0")...)
	return p
}

// world is a tool at a place.
type world struct {
	*place
	tool string
	client
}

func (p *place) with(t *testing.T, tool tool) *world {
	t.Helper()
	return &world{p, tool.name, tool.start(t, p)}
}

// restart replaces the registry by an empty one with other settings.
func (p *place) restart(t *testing.T, settings ...string) {
	t.Helper()
	p.registry.Stop(t)
	p.registry = p.site.StartRegistry(t, settings...)
}

// give pushes what is in the tool's store as the writer, and forgets the login.
func (w *world) give(t *testing.T, push func() error) {
	t.Helper()
	accounts := w.client.(account)
	must(t, accounts.login(t.Context(), w.registry.Host, w.registry.Username, w.registry.Password))
	pushed := push()
	must(t, accounts.logout(t.Context(), w.registry.Host))
	must(t, pushed)
}

// publish pushes an image as the writer, and forgets it.
func (w *world) publish(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	store := w.client.(store)
	must(t, store.load(t.Context(), image, ref))
	w.give(t, func() error { return store.push(t.Context(), ref) })
	must(t, store.remove(t.Context(), ref))
}

// receive pulls an image as nobody, and finds it to be the one that was
// pushed, which was not there before.
func (w *world) receive(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	store := w.client.(store)
	if id, err := store.id(t.Context(), ref); err == nil {
		t.Fatalf("the tool has %s before it pulls it: %s", ref, id)
	}
	must(t, store.pull(t.Context(), ref))
	if got, want := the(store.digest(t.Context(), ref))(t), w.registry.Digest(t, ref); got != want {
		t.Errorf("pulled the manifest %s, want %s", got, want)
	}
	w.recognise(t, image, ref)
}

// recognise finds an image in the tool's store to be the one that is meant,
// and removes it.
func (w *world) recognise(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	store := w.client.(store)
	if id := the(store.id(t.Context(), ref))(t); id != image.ID {
		t.Errorf("%s is the image %s, want %s", ref, id, image.ID)
	}
	if said := the(store.use(t.Context(), image, ref))(t); said != image.Says {
		t.Errorf("%s says %q, want %q", ref, said, image.Says)
	}
	must(t, store.remove(t.Context(), ref))
}

// obtain gets an image by its public name, with nothing but the tool, and finds
// it to be the one that is meant.
func (w *world) obtain(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	if store, ok := w.client.(store); ok {
		must(t, store.pull(t.Context(), ref))
		w.recognise(t, image, ref)
		return
	}
	w.buildOn(t, image, ref)
}

// buildOn builds on top of an image, which runs what is in it.
func (w *world) buildOn(t *testing.T, image testbed.Image, ref string) {
	t.Helper()
	said := the(w.client.(builder).build(t.Context(), onTopOf(image, ref)))(t)
	if !strings.Contains(said, image.Says) {
		t.Errorf("while it was built from, %s did not say %q:\n%s", ref, image.Says, said)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// the is the value of a call that must not fail: the(call())(t).
func the(value string, err error) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		must(t, err)
		return value
	}
}

// refused is for what must fail, for one of the reasons, which the tool tells.
func refused(t *testing.T, err error, why ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was not refused")
	}
	for _, reason := range why {
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(reason)) {
			return
		}
	}
	t.Fatalf("it failed, but not with any of %q: %v", why, err)
}
