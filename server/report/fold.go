package report

import (
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// resolved is what a tag was to a client.
type resolved struct {
	name          string
	digest        oci.Digest
	tool, address string
}

func (a Act) resolved() resolved { return resolved{a.Name, a.Digest, a.Tool, a.Address} }

// folded has the pulls by digest counted where the client has resolved a tag to it, and
// those that failed called by the tag. Of several tags, or one that came from elsewhere later,
// each gets one for each time that it was resolved, and the last one what is left.
func folded(all []Act) []Act {
	tags := map[resolved][]*Act{}
	for i := range all {
		if a := &all[i]; !a.Digest.IsZero() && !a.isByDigest() && !a.Origin.Wanting() {
			tags[a.resolved()] = append(tags[a.resolved()], a)
		}
	}
	folded := map[int]bool{}
	for i := range all {
		a := &all[i]
		if !a.isByDigest() {
			continue
		}
		of := slices.DeleteFunc(slices.Clone(tags[a.resolved()]), func(tag *Act) bool { return !a.isOf(tag) })
		switch {
		case len(of) == 0:
		case a.Origin.Wanting():
			a.Reference = of[len(of)-1].Reference
		default:
			countIn(*a, of)
			folded[i] = true
		}
	}
	left := []Act{}
	for i, a := range all {
		if !folded[i] {
			left = append(left, a)
		}
	}
	return left
}

// isOf says whether a pull by digest can be one of a tag that was resolved to it: what was
// speculative is not what was released, though it may be the same.
func (a Act) isOf(tag *Act) bool {
	return a.Origin.Wanting() || (a.Origin == oci.Speculative) == (tag.Origin == oci.Speculative)
}

// countIn counts a pull by digest in those of the tags.
func countIn(a Act, tags []*Act) {
	for _, tag := range tags {
		n := min(a.Count, max(0, tag.Resolved-tag.Count))
		tag.Count, a.Count = tag.Count+n, a.Count-n
	}
	last := tags[len(tags)-1]
	last.Count, last.Last = last.Count+a.Count, later(last.Last, a.Last)
}
