package clients

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

// together are further rows of the table: what all tools do with the same
// registry. The last one replaces it.
var together = []struct {
	name string
	can  func(client) bool
	play func(t *testing.T, all []*world)
}{
	{"what any other one has pushed", every, acrossTools},
	{"pushed by all at the same time", is[store], pushedByAll},
	{"docker build of this project, through itself", is[dockerBuild], buildThemselves},
	{"pulled by all at the same time: fetched once", every, pulledByAll},
}

// playTogether has all tools go through them.
func playTogether(t *testing.T, p *place, table *matrix) {
	var all []*world
	for _, tool := range tools {
		all = append(all, p.with(t, tool))
	}
	for _, scenario := range together {
		var able []*world
		for _, w := range all {
			if scenario.can(w.client) {
				able = append(able, w)
			}
		}
		t.Run(scenario.name, func(t *testing.T) {
			t.Cleanup(func() { table.record(t, scenario.name, able...) }) // after those that it runs
			scenario.play(t, able)
		})
	}
}

// pushers are those of the tools that push.
func pushers(all []*world) (able []*world) {
	for _, w := range all {
		if is[store](w.client) {
			able = append(able, w)
		}
	}
	return able
}

// acrossTools has each tool get what each one pushed: an image is the same one
// to all of them, manifest included.
func acrossTools(t *testing.T, all []*world) {
	image := all[0].bed.Scratch(t)
	var refs []string
	for _, pusher := range pushers(all) {
		ref := pusher.registry.Host + "/zuul/across:" + pusher.tag()
		pusher.publish(t, image, ref)
		refs = append(refs, ref)
	}
	for _, w := range all {
		t.Run(w.tool, func(t *testing.T) {
			t.Parallel()
			for _, ref := range refs {
				if is[store](w.client) {
					w.receive(t, image, ref)
				} else {
					w.buildOn(t, image, ref)
				}
			}
		})
	}
}

// tag is a tag for a tool.
func (w *world) tag() string { return strings.NewReplacer(" ", "-", ",", "").Replace(w.tool) }

// atOnce has all tools do something at the same time.
func atOnce(t *testing.T, all []*world, do func(w *world) error) {
	t.Helper()
	faults := make([]error, len(all))
	var together sync.WaitGroup
	for n, w := range all {
		together.Go(func() { faults[n] = do(w) })
	}
	together.Wait()
	must(t, errors.Join(faults...))
}

// pushedByAll has them push the same image, by the same tag and by one of each
// one's own. All of these are whole, though the blobs were the same.
func pushedByAll(t *testing.T, all []*world) {
	image := all[0].bed.Layered(t, 5, 1<<20)
	ref := all[0].registry.Host + "/zuul/together:latest"
	own := func(w *world) string {
		return strings.Replace(ref, ":latest", ":"+w.tag(), 1)
	}
	for _, w := range all {
		must(t, w.client.(store).load(t.Context(), image, ref))
		must(t, w.client.(store).tag(t.Context(), ref, own(w)))
		must(t, w.client.(account).login(t.Context(), w.registry.Host, w.registry.Username, w.registry.Password))
	}
	atOnce(t, all, func(w *world) error {
		store := w.client.(store)
		return errors.Join(store.push(t.Context(), ref), store.push(t.Context(), own(w)))
	})
	for _, w := range all {
		must(t, w.client.(account).logout(t.Context(), w.registry.Host))
		must(t, w.client.(store).remove(t.Context(), own(w)))
		must(t, w.client.(store).remove(t.Context(), ref))
	}
	for _, w := range all {
		w.whole(t, "zuul/together", w.registry.Digest(t, own(w)))
		w.receive(t, image, ref)
	}
}

// pulledByAll has them ask for an image that the registry does not have. It
// fetches it once, whatever they are.
func pulledByAll(t *testing.T, all []*world) {
	w := all[0]
	image, ref := w.bed.Debian(t), "docker.io/library/debian:bookworm"
	w.restart(t, w.upstreams.Settings()...)
	w.upstreams.Publish(t, image, ref)
	atOnce(t, all, func(w *world) error { return w.try(t.Context(), w.asked(ref)) })
	for _, w := range pushers(all) {
		w.recognise(t, image, w.asked(ref))
	}
	times := map[string]int{}
	for _, read := range w.upstreams.Reads(t) {
		if strings.HasPrefix(read.Path, "/v2/library/debian/") {
			times[read.Path]++
		}
	}
	if len(times) != 4 {
		t.Errorf("the list, the manifest, the config and the layer were read, which are 4: %v", times)
	}
	for path, n := range times {
		if n != 1 {
			t.Errorf("%s was read %d times", path, n)
		}
	}
}
