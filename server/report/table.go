package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
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
		for _, p := range slices.Backward(r.Pulls) {
			_, _ = fmt.Fprintln(t, p.row())
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

// row is a line of the table, which ends with what the client was told if it did not get
// the image.
func (a Act) row() string {
	cells := []string{
		image(a.Name, label{a.Name, a.Reference}.Short()), origin(a), a.Tool, a.Address, strconv.Itoa(a.Times()), a.Last.UTC().Format(time.RFC3339),
	}
	if a.Detail != "" {
		cells = append(cells, a.Detail)
	}
	for i := range cells {
		cells[i] = Plain(cells[i])
	}
	return strings.Join(cells, "\t")
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
		return string(p.Origin)
	}
	return fmt.Sprintf("%s (%s)", p.Origin, p.Upstream)
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
	var rest []string
	if n := len(g.parts); n > 0 {
		rest = append(rest, many(n, "part")+" of an image")
	}
	if n := len(g.over); n > 0 {
		rest = append(rest, many(n, "row")+" of what was got later")
	}
	if rest != nil {
		line += "; not counted: " + strings.Join(rest, ", ")
	}
	return line
}
