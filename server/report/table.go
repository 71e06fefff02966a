package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Table writes what was pulled, for a terminal: the last pull at the end, and a summary
// below.
func (r Report) Table(w io.Writer) error {
	if len(r.Pulls) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "IMAGE\tORIGIN\tCLIENT\tADDRESS\tTIMES\tLAST")
		for i := len(r.Pulls) - 1; i >= 0; i-- {
			p := r.Pulls[i]
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", Plain(image(p.Name, p.Reference)), origin(p), Plain(p.Tool), Plain(p.Address),
				p.Times(), p.Last.UTC().Format(time.RFC3339))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, fault := range r.Faults {
		if _, err := fmt.Fprintln(w, Plain(fault)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, Plain(r.summary()))
	return err
}

// image is an image by tag or digest.
func image(name, reference string) string {
	if strings.Contains(reference, ":") {
		return name + "@" + reference
	}
	return name + ":" + reference
}

func origin(p Act) string {
	if p.Upstream == "" {
		return Plain(string(p.Origin))
	}
	return Plain(fmt.Sprintf("%s (%s)", p.Origin, p.Upstream))
}

// Plain is text of somebody else's without what a terminal would obey.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// summary is a line that says how often images were pulled, and where they came from, as
// the page has it.
func (r Report) summary() string {
	g := grouped(r)
	all := counts(g.got, g.wanting)
	line := many(pulled(all), "pull")
	for i, c := range all {
		line += between(all, i) + c.Words()
	}
	if n := len(g.over) + len(g.parts); n > 0 {
		line += fmt.Sprintf(" (and %s that matter less: got at last, or parts of an index)", many(n, "row"))
	}
	return line
}
