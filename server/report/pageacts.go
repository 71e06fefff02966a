package report

import (
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// act is an Act as a row of the page.
type act struct{ Act }

// Key names the row, so that it is known when the page is refreshed.
func (a act) Key() string {
	return key(a.Action, a.Kind, a.Name, a.Reference, a.Digest, a.Origin, a.Upstream, a.Client, a.First.UTC())
}

// groups are acts as the page has them, the last first.
type groups struct {
	wanting []act // not got or done
	over    []act // not got at first, but then
	got     []act // pulls
	parts   []act // pulls of a digest, by clients that pulled a tag of that name
	pushed  []act
}

func grouped(r Report) groups {
	var g groups
	for _, a := range everything(r) {
		switch {
		case a.Settled:
			g.over = append(g.over, a)
		case a.Origin.Wanting():
			g.wanting = append(g.wanting, a)
		case a.Action != provenance.Pull:
			g.pushed = append(g.pushed, a)
		case a.Part:
			g.parts = append(g.parts, a)
		default:
			g.got = append(g.got, a)
		}
	}
	return g
}

// everything is all that clients did with images, and what blobs they did not get, the last
// first.
func everything(r Report) []act {
	var all []act
	for _, a := range slices.Concat(r.Pulls, r.Pushes, r.Blobs) {
		all = append(all, act{a})
	}
	slices.SortStableFunc(all, func(a, b act) int { return b.Last.Compare(a.Last) })
	return all
}

// attention is what somebody should look at: what was wanting, and then what may be old.
func (g groups) attention() []act {
	all := slices.Clone(g.wanting)
	for _, a := range g.got {
		if a.Origin == oci.Stale {
			all = append(all, a)
		}
	}
	return all
}
