package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

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

func (q Requirement) isOf(p Act) bool {
	return p.Name == q.name && (p.Reference == q.reference.String() || q.reference.IsDigest() && p.Digest == q.reference.Digest)
}

// Of is the report without what others pulled than those at some addresses; all of it if
// there are none.
func (r Report) Of(addresses []string) Report {
	if len(addresses) > 0 {
		r.clients = addresses
		r.Pulls = slices.DeleteFunc(slices.Clone(r.Pulls), func(p Act) bool {
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
// whoever has not got it at last may have asked somebody else for it. What copies images
// from registry to registry tests none.
func (r Report) Unmet(q Requirement) []string {
	asked := false
	var all []string
	for _, p := range r.Pulls {
		if !q.isOf(p) || strings.HasPrefix(p.Tool, transfer.Agent) {
			continue
		}
		asked = true
		switch {
		case p.Origin == oci.Speculative, p.Settled:
		case p.Origin.Wanting():
			all = append(all, Plain(fmt.Sprintf("%s: %s did not get it (%s): %s", q, p.who(), p.Origin, p.Detail)))
		default:
			all = append(all, Plain(fmt.Sprintf("%s: %s got it from %s (%s)", q, p.who(), p.Upstream, p.Origin)))
		}
	}
	if !asked {
		all = append(all, fmt.Sprintf("%s: was not pulled at all: %s", q, r.nobody()))
	}
	return all
}

// nobody says who has not asked for something.
func (r Report) nobody() string {
	who, since := "nobody", ""
	if r.clients != nil {
		who = "none of the clients that count, " + strings.Join(r.clients, ", ") + ","
	}
	if !r.Filter.Since.IsZero() {
		since = " since " + r.Filter.Since.Format(time.RFC3339)
	}
	return who + " asked this registry for it" + since
}

// who names who pulled.
func (a Act) who() string {
	tool, address := a.Tool, a.Address
	if tool == "" {
		tool = "a client without a name"
	}
	if address == "" {
		return tool
	}
	return tool + " at " + address
}
