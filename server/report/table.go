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
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", plain(image(p.Name, p.Reference)), origin(p), plain(p.Tool), plain(p.Address),
				p.times(), p.Last.UTC().Format(time.RFC3339))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, fault := range r.Faults {
		if _, err := fmt.Fprintln(w, fault); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

// image is an image by tag or digest.
func image(name, reference string) string {
	if strings.Contains(reference, ":") {
		return name + "@" + reference
	}
	return name + ":" + reference
}

func origin(p Pull) string {
	if p.Upstream == "" {
		return string(p.Origin)
	}
	return fmt.Sprintf("%s (%s)", p.Origin, plain(p.Upstream))
}

// plain is text of a client's without what a terminal would obey.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// summary is a line that says how often images were pulled, and where they came from, as
// the page has it: what a client got at last it has not missed.
func (r Report) summary() string {
	g := grouped(r)
	all := counts(g.got, g.wanting)
	var words []string
	for _, c := range all {
		words = append(words, c.Words())
	}
	return strings.TrimSuffix(many(pulled(all), "pull")+": "+strings.Join(words, ", "), ": ")
}
