package report

import (
	"slices"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// tell makes Pulls and Pushes of the journal, and takes out of it what is not of the
// report.
func (r *Report) tell(f Filter) {
	r.Begin = r.Time
	if len(r.Journal) > 0 {
		r.Begin = slices.MinFunc(r.Journal, func(a, b provenance.Entry) int { return a.Time.Compare(b.Time) }).Time
	}
	pushers := pushers(r.Journal)
	r.Journal = slices.DeleteFunc(r.Journal, func(e provenance.Entry) bool { return !f.takes(e) })
	if r.Journal == nil {
		r.Journal = []provenance.Entry{}
	}
	r.Pulls, r.Pushes = pulls(r.Journal), pushes(r.Journal)
	for i := range r.Images {
		image := &r.Images[i]
		if image.Origin == oci.Speculative {
			image.PushedBy = pushers[tagged{image.Name, image.Tag, image.Digest}]
		}
		for _, p := range r.Pulls {
			if p.Name == image.Name && p.Digest == image.Digest && (p.Reference == image.Tag || p.Reference == image.Digest.String()) {
				image.Pulled += p.times()
			}
		}
	}
}

// tagged is what a tag named.
type tagged struct {
	name, tag string
	digest    oci.Digest
}

// pushers are who pushed what, as far as the journal knows: the last ones.
func pushers(journal []provenance.Entry) map[tagged]string {
	all := map[tagged]string{}
	for _, e := range journal {
		if e.Action == provenance.Push && e.Kind == provenance.Manifest && e.Origin == oci.Speculative {
			all[tagged{e.Name, e.Reference, e.Digest}] = e.User
		}
	}
	return all
}

// times is how often the client had the manifest, or wanted it: it may have known the
// content of what it resolved, or have resolved what it then pulled.
func (p Pull) times() int { return max(p.Resolved, p.Pulled) }

// asked is what one client asked for, and what it was told.
type asked struct {
	name, reference string
	digest          oci.Digest
	origin          oci.State
	upstream        string
	client          provenance.Client
}

// pulls are those of manifests, in the order of the journal. A digest that the client got
// by a tag is no Pull of its own.
func pulls(journal []provenance.Entry) []Pull {
	all := []Pull{}
	known := map[asked]int{}
	for _, e := range journal {
		if e.Kind != provenance.Manifest || e.Action != provenance.Pull && e.Action != provenance.Resolve {
			continue
		}
		key := asked{e.Name, e.Reference, e.Digest, e.Origin, e.Upstream, e.Client}
		i, ok := known[key]
		if !ok {
			i = len(all)
			known[key] = i
			all = append(all, Pull{
				Name: e.Name, Reference: e.Reference, Digest: e.Digest, Origin: e.Origin, Upstream: e.Upstream,
				Client: e.Client, First: e.Time,
			})
		}
		p := &all[i]
		p.Detail = e.Detail
		p.First, p.Last = earlier(p.First, e.Time), e.Last
		if e.Action == provenance.Pull {
			p.Pulled += e.Count
		} else {
			p.Resolved += e.Count
		}
	}
	return folded(all)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// resolved is what a tag was to a client. It need not log in for all that it does.
type resolved struct {
	name          string
	digest        oci.Digest
	tool, address string
}

func (p Pull) resolved() resolved { return resolved{p.Name, p.Digest, p.Tool, p.Address} }

// isByDigest says whether the client got it by digest.
func (p Pull) isByDigest() bool { return !p.Digest.IsZero() && p.Reference == p.Digest.String() }

// folded has the pulls by digest counted where the client has resolved a tag to it.
func folded(all []Pull) []Pull {
	tags := map[resolved]*Pull{}
	for i := range all {
		if p := &all[i]; !p.Digest.IsZero() && !p.isByDigest() {
			tags[p.resolved()] = p
		}
	}
	left := []Pull{}
	for i := range all {
		if tag, p := tags[all[i].resolved()], all[i]; tag != nil && p.isByDigest() {
			tag.Pulled += p.Pulled
			tag.Last = later(tag.Last, p.Last)
		}
	}
	for _, p := range all {
		if !p.isByDigest() || tags[p.resolved()] == nil {
			left = append(left, p)
		}
	}
	slices.SortStableFunc(left, func(a, b Pull) int { return b.Last.Compare(a.Last) })
	return left
}

// pushes are those of manifests, the last first.
func pushes(journal []provenance.Entry) []Push {
	all := []Push{}
	for _, e := range slices.Backward(journal) {
		if e.Kind == provenance.Manifest && (e.Action == provenance.Push || e.Action == provenance.Delete) {
			all = append(all, Push{
				Action: e.Action, Name: e.Name, Reference: e.Reference, Digest: e.Digest, Origin: e.Origin, Detail: e.Detail,
				Client: e.Client, Count: e.Count, First: e.Time, Last: e.Last,
			})
		}
	}
	return all
}
