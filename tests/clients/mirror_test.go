package clients

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// TestMirror has each tool ask the registry as a mirror: under the public name
// of an image it gets the one that was pushed here if there is one, and else
// the upstream's.
func TestMirror(t *testing.T) {
	bed := testbed.Open(t)
	testbed.Need(t, testbed.UpstreamTools...)
	bed.Mirror(t)
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			testbed.Need(t, tool.needs...)
			client := tool.start(t, bed)
			for _, scenario := range mirrorScenarios {
				if _, ok := client.(builder); scenario.builds && !ok {
					continue
				}
				t.Run(scenario.name, func(t *testing.T) {
					upstreams := bed.StartUpstreams(t)
					registry := bed.StartRegistry(t, scenario.settings(t, upstreams)...)
					scenario.play(t, mirrored{world{bed, registry, client}, upstreams, publicNames(client)})
				})
			}
		})
	}
}

// TestMirrorForAll has the tools ask at the same time for an image that the
// registry does not have. It fetches it once, whatever they are.
func TestMirrorForAll(t *testing.T) {
	bed := testbed.Open(t)
	bed.Mirror(t)
	upstreams := bed.StartUpstreams(t)
	registry := bed.StartRegistry(t, upstreams.Settings()...)
	image, ref := bed.Debian(t), "docker.io/library/debian:bookworm"
	upstreams.Publish(t, image, ref)

	var clients []client
	for _, tool := range tools {
		testbed.Need(t, tool.needs...)
		clients = append(clients, tool.start(t, bed))
	}
	var all sync.WaitGroup
	faults := make([]error, len(clients))
	for n, client := range clients {
		all.Go(func() { faults[n] = client.pull(t.Context(), ref) })
	}
	all.Wait()
	must(t, errors.Join(faults...))
	for _, client := range clients {
		world{bed, registry, client}.recognise(t, image, ref)
	}

	times := map[string]int{}
	for _, read := range upstreams.Reads(t) {
		times[read.Path]++
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

// mirrored is a tool that asks the registry before the upstreams.
type mirrored struct {
	world
	upstreams *testbed.Upstreams
	names     []string // of repositories in the upstreams, as everybody knows them
}

// public is an image and the public name under which it is to be had.
type public struct {
	ref   string
	image testbed.Image
}

// publicNames are names that a tool asks a mirror for. The same repository is
// in both namespaces, and is another one in each.
func publicNames(client client) []string {
	names := []string{"docker.io/library/app", "docker.io/zuul/app"}
	if _, ok := client.(docker); ok {
		return names // it has mirrors of docker.io only
	}
	return append(names, "quay.io/zuul/app")
}

// provide has the upstreams hold an image under each name with the tag. No two
// are the same.
func (m mirrored) provide(t *testing.T, tag string) (images []public) {
	t.Helper()
	for _, name := range m.names {
		ref := name + ":" + tag
		image := m.bed.From(t, ref)
		m.upstreams.Publish(t, image, ref)
		images = append(images, public{ref, image})
	}
	return images
}

// speculate pushes another image for each of those that the upstreams hold,
// and returns what is to be had now.
func (m mirrored) speculate(t *testing.T, images ...public) (now []public) {
	t.Helper()
	for _, shadowed := range images {
		image := m.bed.From(t, "a change of "+shadowed.ref)
		m.publish(t, image, m.registry.Host+"/"+shadowed.ref)
		now = append(now, public{shadowed.ref, image})
	}
	return now
}

// obtain pulls images under their public names, and finds each to be the one
// that is meant.
func (m mirrored) obtain(t *testing.T, images ...public) {
	t.Helper()
	for _, want := range images {
		must(t, m.pull(t.Context(), want.ref))
		m.recognise(t, want.image, want.ref)
	}
}

// findNoOtherWay finds that nobody but the registry got anything from the
// upstreams.
func (m mirrored) findNoOtherWay(t *testing.T) {
	t.Helper()
	for _, read := range m.upstreams.Reads(t) {
		if !strings.HasPrefix(read.Agent, "zuul-registry") {
			t.Errorf("%s got %s from the upstream", read.Agent, read.Path)
		}
	}
}
