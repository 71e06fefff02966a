package clients

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// mirrorScenarios each find everything empty, and leave the tool's store so.
var mirrorScenarios = []struct {
	name     string
	builds   bool // it is for builders
	settings func(t *testing.T, upstreams *testbed.Upstreams) []string
	play     func(t *testing.T, m mirrored)
}{
	{"only the upstream has it", false, reached, onlyTheUpstreamHasIt},
	{"a pushed image shadows the upstream's", false, reached, aPushedImageShadows},
	{"the upstream's image is pushed", false, rechecked, theUpstreamsImageIsPushed},
	{"a build begins with either", true, reached, aBuildBeginsWithEither},
	{"nobody has it", false, reached, nobodyHasIt},
	{"a password for the upstream", false, reached, aPasswordForTheUpstream},
	{"the upstream cannot be reached", false, unreached, theUpstreamCannotBeReached},
}

// reached are the settings of a registry that reaches the upstreams.
func reached(_ *testing.T, upstreams *testbed.Upstreams) []string { return upstreams.Settings() }

// rechecked are those of one that asks the upstreams for their tags each time.
func rechecked(_ *testing.T, upstreams *testbed.Upstreams) []string {
	return append(upstreams.Settings(), "ZUUL_REGISTRY_UPSTREAM_TAG_TTL=0")
}

// unreached are those of one to which docker.io refuses connections, and
// quay.io says nothing.
func unreached(t *testing.T, _ *testbed.Upstreams) []string {
	return []string{
		"ZUUL_REGISTRY_UPSTREAMS=docker.io=https://" + testbed.Refusing(t) + ",quay.io=https://" + testbed.Silent(t),
		"ZUUL_REGISTRY_UPSTREAM_TIMEOUT=1s",
	}
}

// onlyTheUpstreamHasIt shows that the images came through the registry, which
// still has them when there is no upstream any more.
func onlyTheUpstreamHasIt(t *testing.T, m mirrored) {
	images := m.provide(t, "latest")
	m.obtain(t, images...)
	m.upstreams.Stop(t)
	m.obtain(t, images...)
}

// aPushedImageShadows shows that it does so for its own tag and no other one.
func aPushedImageShadows(t *testing.T, m mirrored) {
	shadowed, others := m.provide(t, "latest"), m.provide(t, "stable")
	m.obtain(t, m.speculate(t, shadowed...)...)
	m.obtain(t, others...)
	m.findNoOtherWay(t)
}

// theUpstreamsImageIsPushed shows that such a push is one, though nothing seems
// to be left to do: the image stays when the upstream has another one.
func theUpstreamsImageIsPushed(t *testing.T, m mirrored) {
	m.names = m.names[:1]
	for _, image := range m.provide(t, "latest") {
		must(t, m.pull(t.Context(), image.ref))
		must(t, m.tag(t.Context(), image.ref, m.registry.Host+"/"+image.ref))
		must(t, m.remove(t.Context(), image.ref))
		m.give(t, m.registry.Host+"/"+image.ref)
		m.upstreams.Publish(t, m.bed.From(t, "a release"), image.ref)
		m.obtain(t, image)
	}
}

// aBuildBeginsWithEither shows that a build which names nothing but public
// images begins with what was pushed, and else with the upstream's.
func aBuildBeginsWithEither(t *testing.T, m mirrored) {
	images := m.provide(t, "latest")
	images = slices.Concat(m.speculate(t, images[0]), images[1:])
	m.build(t, images)
	m.findNoOtherWay(t)
}

// build builds an image on top of each one, and finds it in there.
func (m mirrored) build(t *testing.T, images []public) {
	t.Helper()
	const ref = "localhost/built:latest"
	for _, base := range images {
		must(t, m.client.(builder).build(t.Context(), base.ref, ref))
		if said := the(m.use(t.Context(), base.image, ref))(t); said != base.image.Says {
			t.Errorf("what was built from %s says %q, want %q", base.ref, said, base.image.Says)
		}
		must(t, m.remove(t.Context(), ref))
	}
}

// nobodyHasIt shows the answer that lets a tool go on, and where that ends.
func nobodyHasIt(t *testing.T, m mirrored) {
	for _, name := range m.names {
		for _, ref := range []string{m.registry.Host + "/" + name + ":latest", name + ":latest"} {
			err := m.pull(t.Context(), ref)
			if err == nil {
				t.Fatalf("%s was pulled, which is nowhere", ref)
			}
			if say := err.Error(); !strings.Contains(say, "manifest unknown") && !strings.Contains(say, "not found") {
				t.Errorf("%s is nowhere, but that is not why it was not pulled: %v", ref, err)
			}
		}
	}
}

// aPasswordForTheUpstream does not keep its owner out: Docker and ctr send it
// to the mirror as well, where it is wrong.
func aPasswordForTheUpstream(t *testing.T, m mirrored) {
	m.names = m.names[:1]
	images := m.speculate(t, m.provide(t, "latest")...)
	must(t, m.login(t.Context(), "docker.io", "somebody", "something else"))
	m.obtain(t, images...)
	must(t, m.logout(t.Context(), "docker.io"))
}

// theUpstreamCannotBeReached by the registry, but by the tool, which goes
// there after it was told so. What was pushed needs no upstream, nor does the
// push. All wait for the timeout, so one name is enough.
func theUpstreamCannotBeReached(t *testing.T, m mirrored) {
	m.names = m.names[len(m.names)-1:]
	for _, image := range m.provide(t, "latest") {
		if status := m.registry.Status(t, image.ref); status != http.StatusServiceUnavailable {
			t.Errorf("the registry answers for %s with %d, want 503", image.ref, status)
		}
		m.obtain(t, image)
		m.obtain(t, m.speculate(t, image)...)
	}
}
