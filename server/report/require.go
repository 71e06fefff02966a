package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/transfer"
)

// Requirement is an image that is to have been pulled from speculative state, and never
// from elsewhere. Make it with ParseRequirement.
type Requirement struct {
	name      string
	reference oci.Reference
}

// ParseRequirement accepts the name of an image as transfer.ParseReference does.
func ParseRequirement(text string) (Requirement, error) {
	ref, err := transfer.ParseReference(text)
	return Requirement{ref.Registry + "/" + ref.Repository, ref.Reference}, err
}

// String is the image in full.
func (q Requirement) String() string { return image(q.name, q.reference.String()) }

func (q Requirement) isOf(p Pull) bool {
	return p.Name == q.name && (p.Reference == q.reference.String() || q.reference.IsDigest() && p.Digest == q.reference.Digest)
}

// Copier is what the tool of this project calls itself that copies images from registry to
// registry, up to its version. It says nothing of what was tested that it had an image.
const Copier = "zuul-registry-copy/"

// Of is the report without what others pulled than those at some addresses; all of it if
// there are none.
func (r Report) Of(addresses []string) Report {
	if len(addresses) > 0 {
		r.Pulls = slices.DeleteFunc(slices.Clone(r.Pulls), func(p Pull) bool {
			return !slices.ContainsFunc(addresses, func(a string) bool { return sameAddress(a, p.Address) })
		})
	}
	return r
}

// sameAddress compares addresses that may be written in several ways.
func sameAddress(a, b string) bool {
	one, err := netip.ParseAddr(a)
	other, fault := netip.ParseAddr(b)
	if err != nil || fault != nil {
		return a == b
	}
	return one.Unmap().WithZone("") == other.Unmap().WithZone("")
}

// Unmet says why a requirement is not met, each reason a line; nil if it is. Somebody has
// to have got the image; whoever got it from elsewhere has tested what was released; and
// whoever has not got it at last may have asked somebody else for it.
func (r Report) Unmet(q Requirement) []string {
	type client struct{ tool, address string }
	settled := map[client]bool{} // the last answer was seen: the last pulls come first
	asked := false
	var all []string
	for _, p := range r.Pulls {
		if !q.isOf(p) || strings.HasPrefix(p.Tool, Copier) {
			continue
		}
		who := client{p.Tool, p.Address}
		switch {
		case p.Origin == oci.Speculative:
		case p.isServed():
			all = append(all, fmt.Sprintf("%s: %s got it from %s (%s)", q, p.client(), p.Upstream, p.Origin))
		case !settled[who]:
			all = append(all, fmt.Sprintf("%s: %s did not get it (%s): %s", q, p.client(), p.Origin, p.Detail))
		}
		asked, settled[who] = true, true
	}
	if !asked {
		all = append(all, fmt.Sprintf("%s: was not pulled at all", q))
	}
	return all
}

// isServed says whether the client got it.
func (p Pull) isServed() bool {
	switch p.Origin {
	case oci.Speculative, oci.Cached, oci.Fetched, oci.Stale:
		return true
	}
	return false
}

// client names who pulled.
func (p Pull) client() string {
	tool, address := plain(p.Tool), plain(p.Address)
	if tool == "" {
		tool = "a client without a name"
	}
	if address == "" {
		return tool
	}
	return tool + " at " + address
}
