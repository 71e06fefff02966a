package clients

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// public is an image and the public name under which it is to be had.
type public struct {
	ref   string
	image testbed.Image
}

// publicly are the names of a repository, with a tag, in each namespace for which
// the tool asks the registry: docker.io/zuul/app:1 and quay.io/zuul/app:1.
func (w *world) publicly(repository string) (refs []string) {
	namespaces := []string{"docker.io", "quay.io"}
	if tool, ok := w.client.(mirrored); ok {
		namespaces = tool.namespaces()
	}
	for _, namespace := range namespaces {
		refs = append(refs, namespace+"/zuul/"+repository)
	}
	return refs
}

// asked is how the tool is told to get a public name: a tool that knows of no
// mirrors is told of the registry.
func (w *world) asked(ref string) string {
	if is[mirrored](w.client) {
		return ref
	}
	return w.registry.Host + "/" + ref
}

// provide has the upstreams hold an image under each public name, or under
// others. No two are the same.
func (w *world) provide(t *testing.T, repository string, others ...string) (images []public) {
	t.Helper()
	for _, ref := range append(w.publicly(repository), others...) {
		image := w.bed.From(t, ref)
		w.upstreams.Publish(t, image, ref)
		images = append(images, public{ref, image})
	}
	return images
}

// speculate pushes another image for each of those that the upstreams hold,
// with the tool or, if it only builds, with somebody else's, and returns what is
// to be had now.
func (w *world) speculate(t *testing.T, images ...public) (now []public) {
	t.Helper()
	for _, shadowed := range images {
		image, ref := w.bed.From(t, "a change of "+shadowed.ref), w.registry.Host+"/"+shadowed.ref
		if is[store](w.client) {
			w.publish(t, image, ref)
		} else {
			w.registry.Push(t, image, shadowed.ref)
		}
		now = append(now, public{shadowed.ref, image})
	}
	return now
}

func (w *world) obtainAll(t *testing.T, images ...public) {
	t.Helper()
	for _, each := range images {
		w.obtain(t, each.image, w.asked(each.ref))
	}
}

// aPushedImageShadows shows that it does so for its own tag and no other one.
func aPushedImageShadows(t *testing.T, w *world) {
	// An official image of Docker Hub has a name that is longer than people know.
	shadowed, others := w.provide(t, "shadowed:latest", "docker.io/library/shadowed:latest"), w.provide(t, "shadowed:stable")
	w.obtainAll(t, w.speculate(t, shadowed...)...)
	w.obtainAll(t, others...)
}

// onlyTheUpstreamHasIt shows that the image comes, the first time and again.
// theUpstreamIsDown finds that it came through the registry.
func onlyTheUpstreamHasIt(t *testing.T, w *world) {
	images := w.provide(t, "released:latest")
	w.obtainAll(t, images...)
	w.obtainAll(t, images...)
}

// theUpstreamsImageIsPushed shows that such a push is one, though nothing seems
// to be left to do: the image stays when the upstream has another one.
func theUpstreamsImageIsPushed(t *testing.T, w *world) {
	store := w.client.(store)
	image := w.provide(t, "promoted:latest")[0]
	pulled, pushed := w.asked(image.ref), w.registry.Host+"/"+image.ref
	must(t, store.pull(t.Context(), pulled))
	if pulled != pushed {
		must(t, store.tag(t.Context(), pulled, pushed))
		must(t, store.remove(t.Context(), pulled))
	}
	w.give(t, func() error { return store.push(t.Context(), pushed) })
	must(t, store.remove(t.Context(), pushed))
	w.upstreams.Publish(t, w.bed.From(t, "the next release"), image.ref)
	w.obtainAll(t, image)
}

// nobodyHasIt shows the answer that lets a tool go on, and where that ends:
// before a person loses patience.
func nobodyHasIt(t *testing.T, w *world) {
	ctx, release := context.WithTimeout(t.Context(), time.Minute)
	defer release()
	for _, ref := range w.publicly("nowhere:latest") {
		refused(t, w.try(ctx, w.asked(ref)), missing...)
	}
	if is[store](w.client) {
		refused(t, w.try(ctx, w.registry.Host+"/zuul/nowhere:latest"), missing...)
	}
}

// try gets an image by its name, and leaves what there is of it.
func (w *world) try(ctx context.Context, ref string) error {
	if store, ok := w.client.(store); ok {
		return store.pull(ctx, ref)
	}
	_, err := w.client.(builder).build(ctx, "FROM "+ref+"\n")
	return err
}

// aPasswordForTheUpstream, Docker Hub, does not keep its owner out: Docker and
// ctr send it to the mirror as well, where it is wrong.
func aPasswordForTheUpstream(t *testing.T, w *world) {
	account := w.client.(account)
	pushed, released := w.speculate(t, w.provide(t, "private:latest")[0]), w.provide(t, "private:stable")[:1]
	must(t, account.login(t.Context(), "docker.io", "somebody", "something else"))
	w.obtainAll(t, slices.Concat(pushed, released)...)
	must(t, account.logout(t.Context(), "docker.io"))
}

// fromEither shows that a build which names nothing but public images begins
// with what was pushed, and else with the upstream's.
func fromEither(t *testing.T, w *world) {
	pushed, released := w.speculate(t, w.provide(t, "base:latest")...), w.provide(t, "base:stable")
	for _, base := range slices.Concat(pushed, released) {
		w.buildOn(t, base.image, base.ref)
	}
}

// theUpstreamIsDown and nobody can reach it. What was pushed and what was
// fetched before is to be had, and of anything else the tool says what is wrong.
// Nothing up to here came past the registry.
func theUpstreamIsDown(t *testing.T, w *world) {
	pushed, fetched := w.speculate(t, w.provide(t, "down:latest")...), w.provide(t, "down:stable")
	w.obtainAll(t, fetched...)
	reads := w.upstreams.Reads(t)
	if len(reads) == 0 {
		t.Error("the upstreams know of nobody who got anything")
	}
	for _, read := range reads {
		if !strings.HasPrefix(read.Agent, "zuul-registry") {
			t.Errorf("%s got %s from the upstream", read.Agent, read.Path)
		}
	}
	w.obtainAll(t, pushed...)
	w.obtainAll(t, fetched...)
	refused(t, w.try(t.Context(), w.asked(w.publicly("down:unknown")[0])), "connection refused", "unavailable")
}

// onlyTheRegistryCannotReach the upstream, and the tool, which is told so, goes
// there itself. What is pushed needs no upstream, nor does the push.
func onlyTheRegistryCannotReach(t *testing.T, w *world) {
	w.upstreams.Stop(t)
	w.upstreams = w.site.StartUpstreams(t)
	w.restart(t,
		"ZUUL_REGISTRY_UPSTREAMS=docker.io=https://"+w.site.Refusing(t)+",quay.io=https://"+w.site.Silent(t),
		"ZUUL_REGISTRY_UPSTREAM_TIMEOUT=300ms",
	)
	for _, image := range w.provide(t, "unreached:latest") {
		if status := w.registry.Status(t, image.ref); status != http.StatusServiceUnavailable {
			t.Errorf("the registry answers for %s with %d, want 503", image.ref, status)
		}
		w.obtainAll(t, image)
		if is[store](w.client) {
			w.obtainAll(t, w.speculate(t, image)...)
		}
	}
}
