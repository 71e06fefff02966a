package swift

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// firstPage is how many entries are asked for at first: many want but a few.
const firstPage = 100

// List asks for page after page. A directory is what names have in common.
func (d *Driver) List(ctx context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	prefix := directory + "/"
	if directory == "." {
		prefix = ""
	}
	return func(yield func(storage.Entry, error) bool) {
		if err := check("list", directory); err != nil {
			yield(storage.Entry{}, err)
			return
		}
		for limit := min(firstPage, d.limits.page); ; limit = d.limits.page {
			entries, err := d.page(ctx, prefix, after, limit)
			if err != nil {
				yield(storage.Entry{}, err)
				return
			}
			for _, e := range entries {
				// Some programs put an object for the directory itself.
				isHidden := e.Name == "" || prefix+e.Name == markers
				if !isHidden && !yield(e, nil) {
					return
				}
			}
			if len(entries) < limit {
				return
			}
			after = entries[len(entries)-1].Path()
		}
	}
}

// listed is an object, or what several have in common.
type listed struct {
	Name   string `json:"name"`
	Subdir string `json:"subdir"` // ends in a slash
}

func (d *Driver) page(ctx context.Context, prefix, after string, limit int) ([]storage.Entry, error) {
	p := url.Values{"format": {"json"}, "delimiter": {"/"}, "prefix": {prefix}, "limit": {strconv.Itoa(limit)}}
	if after != "" {
		p.Set("marker", prefix+after)
	}
	var all []listed
	if err := d.do(ctx, request{operation: http.MethodGet, parameters: p, header: newest, into: &all}); err != nil {
		return nil, err
	}
	entries := make([]storage.Entry, len(all))
	for i, l := range all {
		path := strings.TrimPrefix(l.Name+l.Subdir, prefix)
		entries[i].Name, entries[i].Directory = strings.CutSuffix(path, "/")
	}
	return entries, nil
}
