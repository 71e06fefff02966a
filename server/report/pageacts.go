package report

import (
	"slices"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// act is what a client did, or wanted to do.
type act struct {
	Action    provenance.Action
	Kind      provenance.Kind
	Name      string
	Reference string
	Digest    oci.Digest
	Origin    oci.State
	Upstream  string
	Detail    string
	provenance.Client
	Done        int // how often
	Resolved    int
	First, Last time.Time
}

func (p Pull) act() act {
	return act{
		provenance.Pull, provenance.Manifest, p.Name, p.Reference, p.Digest, p.Origin, p.Upstream, p.Detail, p.Client,
		p.Pulled, p.Resolved, p.First, p.Last,
	}
}

func (p Push) act() act {
	return act{
		p.Action, provenance.Manifest, p.Name, p.Reference, p.Digest, p.Origin, "", p.Detail, p.Client,
		p.Count, 0, p.First, p.Last,
	}
}

func blobAct(e provenance.Entry) act {
	return act{
		e.Action, e.Kind, e.Name, e.Reference, e.Digest, e.Origin, e.Upstream, e.Detail, e.Client,
		e.Count, 0, e.Time, e.Last,
	}
}

// Times is how often a client had it, or wanted it.
func (a act) Times() int { return max(a.Done, a.Resolved) }

// Key names the row, so that it is known when the page is refreshed.
func (a act) Key() string {
	return key(a.Action, a.Kind, a.Name, a.Reference, a.Digest, a.Origin, a.Upstream, a.Client, a.First.UTC())
}

func isWanting(s oci.State) bool {
	return s == provenance.Miss || s == provenance.Refused || s == provenance.Failed
}

// aim is what a client wants. Who logs in when asked to is the same client.
type aim struct {
	action          provenance.Action
	kind            provenance.Kind
	name, reference string
	tool, address   string
}

func (a act) aim() aim { return aim{a.Action, a.Kind, a.Name, a.Reference, a.Tool, a.Address} }

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
	all := everything(r)
	reached := map[aim]time.Time{}
	tagged := map[aim]bool{}
	for _, a := range all {
		if aim := a.aim(); !isWanting(a.Origin) {
			reached[aim] = later(reached[aim], a.Last)
			aim.reference = ""
			tagged[aim] = tagged[aim] || !isDigest(a.Reference)
		}
	}
	for _, a := range all {
		of := a.aim()
		of.reference = ""
		switch {
		case isWanting(a.Origin) && reached[a.aim()].Before(a.Last):
			g.wanting = append(g.wanting, a)
		case isWanting(a.Origin):
			g.over = append(g.over, a)
		case a.Kind == provenance.Blob: // its manifest says enough
		case a.Action != provenance.Pull:
			g.pushed = append(g.pushed, a)
		case isDigest(a.Reference) && tagged[of]:
			g.parts = append(g.parts, a)
		default:
			g.got = append(g.got, a)
		}
	}
	return g
}

// everything is all that clients did with images, and what blobs they wanted, the last first.
func everything(r Report) []act {
	var all []act
	for _, p := range r.Pulls {
		all = append(all, p.act())
	}
	for _, p := range r.Pushes {
		all = append(all, p.act())
	}
	for _, e := range r.Journal {
		if e.Kind == provenance.Blob && e.Action == provenance.Pull {
			all = append(all, blobAct(e))
		}
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
