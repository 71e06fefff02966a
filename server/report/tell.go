package report

import (
	"slices"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// tell makes Pulls, Pushes and Blobs of the journal, and takes out of it what is not of the
// report.
func (r *Report) tell() {
	r.Begin = r.Time
	if len(r.Journal) > 0 {
		r.Begin = slices.MinFunc(r.Journal, func(a, b provenance.Entry) int { return a.Time.Compare(b.Time) }).Time
	}
	all := r.Journal
	r.Journal = []provenance.Entry{}
	for _, e := range all {
		if r.Filter.takes(e) {
			r.Journal = append(r.Journal, e)
		}
	}
	known := learn(all)
	r.Pulls, r.Pushes, r.Blobs = known.acts(r.Journal)
	for i := range r.Images {
		image := &r.Images[i]
		if image.Origin == oci.Speculative {
			image.PushedBy = known.pushers[tagged{image.Name, image.Tag, image.Digest}]
		}
		for _, p := range r.Pulls {
			if p.Name == image.Name && p.Digest == image.Digest && (p.Reference == image.Tag || p.isByDigest()) {
				image.Pulled += p.Times()
			}
		}
	}
}

// Times is how often a client had something, or wanted it: it may have known the content
// of what it resolved, or have resolved what it then pulled.
func (a Act) Times() int { return max(a.Resolved, a.Count) }

// isByDigest says whether the client got it by digest.
func (a Act) isByDigest() bool { return !a.Digest.IsZero() && a.Reference == a.Digest.String() }

// aim is what a client wants. Who logs in when asked to is the same client.
type aim struct {
	action          provenance.Action
	kind            provenance.Kind
	name, reference string
	tool, address   string
}

func aimOf(e provenance.Event) aim {
	a := aim{e.Action, e.Kind, e.Name, e.Reference, e.Tool, e.Address}
	if a.action == provenance.Resolve {
		a.action = provenance.Pull
	}
	return a
}

// tagged is what a tag named.
type tagged struct {
	name, tag string
	digest    oci.Digest
}

// knowledge is what the whole journal says about each entry.
type knowledge struct {
	reached map[aim][]time.Time // when a client got what it wanted
	byTag   map[aim]bool        // clients that pulled a tag of a name: without a reference
	pushers map[tagged]string
}

func learn(journal []provenance.Entry) knowledge {
	k := knowledge{map[aim][]time.Time{}, map[aim]bool{}, map[tagged]string{}}
	for _, e := range journal {
		if e.Origin.Wanting() {
			continue
		}
		a := aimOf(e.Event)
		k.reached[a] = append(k.reached[a], e.Time, e.Last)
		if e.Kind != provenance.Manifest {
			continue
		}
		if e.Action == provenance.Push {
			k.pushers[tagged{e.Name, e.Reference, e.Digest}] = e.User
			a.reference = e.Digest.String()
			k.reached[a] = append(k.reached[a], e.Time, e.Last)
		}
		if e.Reference != e.Digest.String() {
			a.reference = ""
			k.byTag[a] = true
		}
	}
	return k
}

// acts are the manifests that were pulled, and pushed or deleted, and the blobs that
// somebody did not get, the last ones first.
func (k knowledge) acts(journal []provenance.Entry) (pulls, pushes, blobs []Act) {
	var reading, writing, wanting acts
	for _, e := range journal {
		switch {
		case e.Kind == provenance.Blob && e.Action == provenance.Pull && e.Origin.Wanting():
			wanting.add(e)
		case e.Kind == provenance.Blob, k.isBeforePush(e):
		case e.Action == provenance.Pull, e.Action == provenance.Resolve:
			reading.add(e)
		default:
			writing.add(e)
		}
	}
	return k.judge(folded(reading.all)), k.judge(writing.all), k.judge(wanting.all)
}

// pushTakes is how long it may take to push an image, from the first question on.
const pushTakes = 10 * time.Minute

// isBeforePush says whether a client asked for what it then pushed. Not all of them say so
// when they ask, nor have they logged in by then.
func (k knowledge) isBeforePush(e provenance.Entry) bool {
	push := aim{provenance.Push, e.Kind, e.Name, e.Reference, e.Tool, e.Address}
	return e.Action == provenance.Resolve && e.Origin == oci.Miss && slices.ContainsFunc(k.reached[push], func(t time.Time) bool {
		return !t.Before(e.Last) && t.Sub(e.Last) < pushTakes
	})
}

// acts are made of entries, all that are alike in one.
type acts struct {
	all   []Act
	known map[provenance.Event]int
}

func (a *acts) add(e provenance.Entry) {
	key := e.Event
	key.Action, key.Detail, key.Size = aimOf(e.Event).action, "", 0
	i, ok := a.known[key]
	if !ok {
		if a.known == nil {
			a.known = map[provenance.Event]int{}
		}
		i = len(a.all)
		a.known[key] = i
		a.all = append(a.all, Act{Event: key, First: e.Time})
	}
	act := &a.all[i]
	act.Detail, act.Size = e.Detail, e.Size
	act.First, act.Last = earlier(act.First, e.Time), later(act.Last, e.Last)
	if e.Action == provenance.Resolve {
		act.Resolved += e.Count
	} else {
		act.Count += e.Count
	}
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

// soon is how long after a miss or a failure the client may have waited to ask again. Later
// it will have asked somebody else, and may be another one, with the same address.
const soon = time.Minute

// settles says whether a client that did not get something got it later: soon, or after it
// was refused, which is how clients learn to log in.
func (k knowledge) settles(a Act) bool {
	byTag, byDigest := aimOf(a.Event), aimOf(a.Event)
	byDigest.reference = a.Digest.String()
	return a.Origin.Wanting() && slices.ContainsFunc(slices.Concat(k.reached[byTag], k.reached[byDigest]), func(t time.Time) bool {
		return !t.Before(a.Last) && (a.Origin == oci.Refused || t.Sub(a.Last) < soon)
	})
}

// judge says of each what the client did besides, and sorts them.
func (k knowledge) judge(all []Act) []Act {
	for i := range all {
		a := &all[i]
		goal := aimOf(a.Event)
		a.Settled = k.settles(*a)
		goal.reference = ""
		a.Part = a.isByDigest() && a.Action == provenance.Pull && k.byTag[goal]
	}
	slices.SortStableFunc(all, func(a, b Act) int { return b.Last.Compare(a.Last) })
	return append([]Act{}, all...)
}
