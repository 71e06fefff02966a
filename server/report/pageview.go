package report

import (
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// view is what page.html shows.
type view struct {
	Report
	clock
	Style  template.CSS
	Script template.JS // of a live page
	Policy string      // of one that is not

	Counts     []count // of Got, and of what was not got
	Attention  table
	Got        table // what clients got, but Parts
	Parts      table // pulled by digest, by a client that pulled a tag of that name
	Over       table // what a client did not get, and then got
	Pushed     table
	Layers     []count
	Images     rows[Image]
	Unfinished rows[Upload]
}

// table is of acts.
type table struct {
	rows[act]
	clock
	Caption string
	Came    string // heads what came of them
}

// rows are the first of many.
type rows[T any] struct {
	Shown []T
	More  int
}

func firstOf[T any](most int, all []T) rows[T] {
	shown := all[:min(len(all), most)]
	return rows[T]{shown, len(all) - len(shown)}
}

// Total is how many there are.
func (r rows[T]) Total() int { return len(r.Shown) + r.More }

// How many rows there are of each kind.
const (
	mostActs   = 200
	mostFolded = 100 // of those that are folded away
	mostTags   = 300
	mostPushed = 100 // of uploads, too
)

func newView(r Report, live bool) view {
	c := clock{r.Time, live}
	g := grouped(r)
	return view{
		Report: r, clock: c,
		Counts:     counts(g.got, g.wanting),
		Attention:  table{firstOf(mostActs, g.attention()), c, "What clients did not get or could not do, and what may be out of date", "What happened"},
		Got:        table{firstOf(mostActs, g.got), c, "What clients got, the last first", "What it got"},
		Parts:      table{firstOf(mostFolded, g.parts), c, "Pulled by digest, the last first", "What it got"},
		Over:       table{firstOf(mostFolded, g.over), c, "Not got at first, and got later; the last first", "What happened"},
		Pushed:     table{firstOf(mostPushed, g.pushed), c, "What clients pushed and deleted, the last first", "What happened"},
		Layers:     layers(r.Journal),
		Images:     firstOf(mostTags, r.Images),
		Unfinished: firstOf(mostPushed, r.Uploads),
	}
}

// Filtered says whether the report is of a part.
func (v view) Filtered() bool { return v.Filter != (Filter{}) }

// JSON is where the report can be had whole, from where the page is.
func (v view) JSON() string {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("namespace", v.Filter.Namespace)
	set("origin", string(v.Filter.Origin))
	set("since", v.Machine(v.Filter.Since))
	set("until", v.Machine(v.Filter.Until))
	return strings.TrimSuffix("report?"+q.Encode(), "?")
}

// Origins are what a filter may ask for.
func (v view) Origins() []oci.Origin {
	return slices.DeleteFunc(slices.Clone(oci.Origins), func(o oci.Origin) bool { return o == oci.Kept }) // of blobs
}

// Troubled are the upstreams that do not answer now.
func (v view) Troubled() []Upstream {
	return slices.DeleteFunc(slices.Clone(v.Upstreams), func(u Upstream) bool { return u.State == Up || u.State == Unasked })
}

// count is how many there are of something.
type count struct {
	N        int
	Origin   oci.Origin
	Upstream string // if all are of one
	Begin    int    // where it begins in the bar, in a thousandth of all
	Width    int
}

// counts are how often clients got something, by where it came from, and how often not.
func counts(got, wanting []act) []count {
	var all []count
	total := 0
	for _, a := range slices.Concat(got, wanting) {
		if a.Kind == provenance.Blob || a.Action != provenance.Pull {
			continue
		}
		total += a.Times()
		i := slices.IndexFunc(all, func(c count) bool { return c.Origin == a.Origin })
		if i < 0 {
			i = len(all)
			all = append(all, count{Origin: a.Origin, Upstream: a.Upstream})
		}
		all[i].N += a.Times()
		if all[i].Upstream != a.Upstream {
			all[i].Upstream = ""
		}
	}
	slices.SortFunc(all, func(a, b count) int {
		return slices.Index(oci.Origins, a.Origin) - slices.Index(oci.Origins, b.Origin)
	})
	begin := 0
	for i := range all {
		all[i].Begin, all[i].Width = begin, 1000*all[i].N/max(total, 1)
		begin += all[i].Width
	}
	return all
}

// between is what stands before one of the counts in a sentence.
func between(all []count, i int) string {
	switch {
	case all[i].Origin.Wanting() && (i == 0 || !all[i-1].Origin.Wanting()):
		return "; not got: "
	case i == 0:
		return ": "
	}
	return ", "
}

// Between is that of the page's.
func (v view) Between(i int) string { return between(v.Counts, i) }

// layers are how often clients got blobs, by where they came from.
func layers(journal []provenance.Entry) []count {
	n := map[oci.Origin]int{}
	for _, e := range journal {
		if e.Kind == provenance.Blob && e.Action == provenance.Pull {
			n[e.Origin] += e.Count
		}
	}
	var all []count
	for _, s := range oci.Origins {
		if n[s] > 0 {
			all = append(all, count{N: n[s], Origin: s})
		}
	}
	return all
}

// Pulled is how often clients got something.
func (v view) Pulled() int { return pulled(v.Counts) }

func pulled(counts []count) int {
	n := 0
	for _, c := range counts {
		if !c.Origin.Wanting() {
			n += c.N
		}
	}
	return n
}

// Title is what the page is called, which says whether to look.
func (v view) Title() string {
	title := many(v.Pulled(), "pull")
	if n := v.Attention.Total(); n > 0 {
		title = many(n, "thing") + " to look at, " + title
	}
	return title + " – zuul-registry"
}

// clock says times as somebody reads them at a time.
type clock struct {
	Now  time.Time
	Live bool
}

// Machine is a time for a machine; none if there is none.
func (c clock) Machine(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Clock is a time of day, and the day if it is another one.
func (c clock) Clock(t time.Time) string {
	const day = "2 Jan"
	t, now := t.UTC(), c.Now.UTC()
	switch {
	case t.Year() != now.Year():
		return t.Format("2 Jan 2006")
	case t.Format(day) != now.Format(day):
		return t.Format(day + " 15:04")
	}
	return t.Format("15:04:05")
}

// moment is a time as it is shown.
type moment struct{ Machine, Clock, Ago string }

// At is a time as it is shown.
func (c clock) At(t time.Time) moment { return moment{c.Machine(t), c.Clock(t), c.Ago(t)} }

// Ago is how far a time is away: from now if the page is live, and else from
// when it was saved.
func (c clock) Ago(t time.Time) string {
	past, future := " earlier", " later"
	if c.Live {
		past, future = " ago", " from now"
	}
	d := c.Now.Sub(t)
	if d < 0 {
		return span(-d) + future
	}
	return span(d) + past
}
