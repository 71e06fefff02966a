package report

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
)

// ParseFilter reads the parameters since, until, namespace and origin of a query, once each.
// Others are ignored. An error says what is allowed.
func ParseFilter(query string) (f Filter, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return Filter{}, fmt.Errorf("the query cannot be read: %w", err)
	}
	for name, values := range q {
		if len(values) > 1 {
			return Filter{}, fmt.Errorf("%.100q is there %d times: once is allowed", name, len(values))
		}
	}
	if f.Since, err = parseTime("since", q.Get("since")); err != nil {
		return Filter{}, err
	}
	if f.Until, err = parseTime("until", q.Get("until")); err != nil {
		return Filter{}, err
	}
	f.Namespace, f.Origin = q.Get("namespace"), oci.Origin(q.Get("origin"))
	if f.Origin != "" && !slices.Contains(oci.Origins, f.Origin) {
		return Filter{}, fmt.Errorf("origin is %.100q: one of %v is allowed", f.Origin, oci.Origins)
	}
	return f, nil
}

// parseTime reads a time, or how long ago it was.
func parseTime(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().UTC().Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%s is %.100q: a time as 2006-01-02T15:04:05Z is allowed, or how long ago that was, as 90m", name, text)
}

// takesName says whether something is of the namespace.
func (f Filter) takesName(name string) bool {
	return f.Namespace == "" || strings.HasPrefix(name, f.Namespace+"/")
}

// takes says whether an entry is of the report.
func (f Filter) takes(e provenance.Entry) bool {
	return f.takesName(e.Name) && (f.Origin == "" || f.Origin == e.Origin) &&
		(f.Since.IsZero() || !e.Last.Before(f.Since)) && (f.Until.IsZero() || !e.Time.After(f.Until))
}
