package clients

import (
	"testing"
)

// scenarios are the rows of the table in the README: what every tool is put
// through that can. Each finds, and leaves, the tool's store empty and nobody
// logged in, and has repositories of its own; the last ones stop the upstreams
// or the registry.
var scenarios = []struct {
	name string
	can  func(client) bool
	play func(t *testing.T, w *world)
}{
	{"push and pull back, bit for bit", is[store], pushAndPullBack},
	{"60 layers", is[store], sixtyLayers},
	{"a layer of 1 GiB", is[store], aLargeLayer},
	{"zstd layers", either(is[carrier], is[converter]), zstdLayers},
	{"a list of platforms, with all images", either(is[carrier], is[lister]), aListOfPlatforms},
	{"a tag pushed again, as another media type", either(is[carrier], is[converter]), anotherMediaType},
	{"a signature, by its tag", is[store], aSignature},
	{"artifacts and referrers", is[attacher], artifactsAndReferrers},
	{"delete", is[deleter], deletes},
	{"login, right and wrong", both(is[store], is[account]), loginRightAndWrong},
	{"a certificate that nobody vouches for is refused", every, anUntrustedCertificate},
	{"a pushed image shadows the upstream's", is[store], aPushedImageShadows},
	{"no pushed image: the upstream's", is[store], onlyTheUpstreamHasIt},
	{"the upstream's image, pushed", both(is[store], isNot[sparing]), theUpstreamsImageIsPushed},
	{"nobody has it: not found", every, nobodyHasIt},
	{"logged in to Docker Hub", both(is[account], is[mirrored]), aPasswordForTheUpstream},
	{"FROM a pushed image, and the upstream's", is[builder], fromEither},
	{"what it has built, pushed", is[publisher], buildAndPush},
	{"the upstream is down", every, theUpstreamIsDown},
	{"only the registry cannot reach the upstream", is[mirrored], onlyTheRegistryCannotReach},
}

func every(client) bool { return true }

// is tells whether a tool can do what an interface asks for.
func is[T any](c client) bool {
	_, ok := c.(T)
	return ok
}

func isNot[T any](c client) bool { return !is[T](c) }

func either(one, other func(client) bool) func(client) bool {
	return func(c client) bool { return one(c) || other(c) }
}

func both(one, other func(client) bool) func(client) bool {
	return func(c client) bool { return one(c) && other(c) }
}
