package report

import (
	"fmt"
	"hash/fnv"
	"time"
	"unicode/utf8"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// mark is a word that stands out, in a colour and with a sign of its own.
type mark struct {
	Class string
	Word  string
}

// Mark says what came of an act.
func (a act) Mark() mark {
	m := markOf(a.Origin)
	if a.Origin.Wanting() {
		return m
	}
	switch a.Action {
	case provenance.Push:
		m.Word = "pushed"
	case provenance.Delete:
		m = mark{"gone", "deleted"}
	}
	return m
}

// markOf has a class for what it knows alone: a saved report may say anything.
func markOf(s oci.Origin) mark {
	switch s {
	case oci.Speculative, oci.Cached, oci.Fetched, oci.Stale, oci.Miss, oci.Refused, oci.Failed:
		return mark{string(s), string(s)}
	case oci.Kept:
		return mark{string(oci.Cached), string(oci.Kept)}
	}
	return mark{"other", clip(string(s))}
}

// IsIndex says whether it is a list of images.
func (i Image) IsIndex() bool {
	return i.MediaType == oci.MediaTypeImageIndex || i.MediaType == oci.MediaTypeDockerList
}

// Mark says how an upstream does.
func (u Upstream) Mark() mark {
	switch u.State {
	case Up, Waiting, Down, Unasked:
		return mark{string(u.State), string(u.State)}
	}
	return mark{"other", clip(string(u.State))}
}

// Words is a number of what it counts.
func (c count) Words() string {
	if c.Origin == oci.Miss && c.N != 1 {
		return fmt.Sprintf("%d misses", c.N)
	}
	return fmt.Sprintf("%d %s", c.N, markOf(c.Origin).Word)
}

// On says what a client could not do, if it was no pull.
func (a act) On() string {
	if !a.Origin.Wanting() || a.Action == provenance.Pull {
		return ""
	}
	return "on a " + string(a.Action)
}

// Often says how often a client did something.
func (a act) Often() string {
	switch {
	case a.Count == 0:
		return many(a.Resolved, "lookup")
	case a.Action != provenance.Pull || a.Kind == provenance.Blob || a.Origin.Wanting():
		return many(a.Count, "time")
	}
	return many(a.Count, "pull")
}

// Lookups says how often it only asked, if Often does not.
func (a act) Lookups() string {
	if a.Count == 0 || a.Resolved == 0 {
		return ""
	}
	return many(a.Resolved, "lookup")
}

// Every says what time a rate limit is for.
func (l RateLimit) Every() string { return span(time.Duration(l.Window * float64(time.Second))) }

// Left is how much of a rate limit is left, in percent.
func (l RateLimit) Left() int { return 100 * min(max(l.Remaining, 0), l.Limit) / max(l.Limit, 1) }

// many is a number of things.
func many(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// span is a time in the largest unit that tells something.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "a moment"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/day)
}

// size is a number of bytes in the unit that suits it.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(n), 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 || value >= 99.5 {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.3g %s", value, units[unit])
}

// label is what somebody calls an image.
type label struct{ Name, Reference string }

// IsDigest says whether it is not called by a tag.
func (l label) IsDigest() bool { return isDigest(l.Reference) }

// Short is a reference without most of a digest.
func (l label) Short() string {
	d, err := oci.ParseDigest(l.Reference)
	if err != nil {
		return l.Reference
	}
	return shorten(d) + "…"
}

func isDigest(reference string) bool {
	_, err := oci.ParseDigest(reference)
	return err == nil
}

// shorten is as much of a digest as people compare.
func shorten(d oci.Digest) string {
	const most = len("sha256:") + 12
	text := d.String()
	return text[:min(len(text), most)]
}

// clip is as much of a client's text as a row has room for.
func clip(text string) string {
	const most = 200
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

// key names a row, so that it is known when the page is refreshed.
func key(parts ...any) string {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%v\x00", p)
	}
	return fmt.Sprintf("%x", h.Sum64())
}
