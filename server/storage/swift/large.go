package swift

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// found is a segment as it is listed.
type found struct {
	Name    string `json:"name"` // with the container
	Size    int64  `json:"bytes"`
	IsLarge bool   `json:"sub_slo"`
}

// isLarge says whether an object is a static large one.
func isLarge(h http.Header) bool { return strings.EqualFold(h.Get("X-Static-Large-Object"), "true") }

// itself has Swift read or copy not what a static large object is made of, but its list
// of that. Other objects are as ever.
var itself = url.Values{"multipart-manifest": {"get"}}

// look finds out whether an object has segments. It reads none that has not.
func (d *Driver) look(ctx context.Context, name string) ([]found, error) {
	header, err := d.head(ctx, name)
	if err != nil || !isLarge(header) {
		return nil, err
	}
	return d.segments(ctx, name)
}

// segments are what a static large object is made of. Another object has none.
func (d *Driver) segments(ctx context.Context, name string) ([]found, error) {
	var all []found
	err := d.do(ctx, segmentsOf(name, &all))
	return all, err
}

func segmentsOf(name string, into any) request {
	return request{operation: http.MethodGet, object: name, header: newest, parameters: itself, into: into, ifLarge: true}
}

// own is the name of a segment, unless it is in a container that is not ours.
func (d *Driver) own(s found) (name string, ours bool) {
	return strings.CutPrefix(s.Name, "/"+d.path(""))
}

// Parts names the segments of an object and, behind each that has some, of that.
func (d *Driver) Parts(ctx context.Context, name string) ([]string, error) {
	if err := check("list", name); err != nil {
		return nil, err
	}
	segments, err := d.segments(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range segments {
		own, ours := d.own(s)
		if !ours {
			continue
		}
		names = append(names, own)
		if s.IsLarge {
			below, err := d.Parts(ctx, own)
			if err != nil {
				return nil, err
			}
			names = append(names, below...)
		}
	}
	return names, nil
}

const methodCopy = "COPY"

// copyTime is what Swift may need to copy a plain object, of at most 5 GiB.
const copyTime = 10 * time.Minute

// Rename has Swift copy an object, of a large one its list of segments alone, and then
// removes that alone. Swift makes no large object that lacks a segment. That one is moved
// aside all the same: a plain object with the list takes its place, and so nobody loses
// the names of what is left, which belongs to nothing then.
func (d *Driver) Rename(ctx context.Context, from, to string) error {
	for _, name := range []string{from, to} {
		if err := check("rename", name); err != nil {
			return err
		}
	}
	err := d.do(ctx, request{
		operation: methodCopy, object: from, parameters: itself, extra: copyTime,
		header:     map[string]string{"Destination": (&url.URL{Path: d.path(to)}).EscapedPath()},
		badRequest: func(ctx context.Context) error { return d.lacks(ctx, from) },
	})
	if status(err) == http.StatusBadRequest && errors.Is(err, fs.ErrNotExist) {
		err = d.describeSegments(ctx, from, to)
	}
	if err != nil {
		return err
	}
	return d.remove(ctx, from)
}

// lacks says which segment of an object is not as it was stored.
func (d *Driver) lacks(ctx context.Context, name string) error {
	segments, err := d.segments(ctx, name)
	var parts []storage.Part
	for _, s := range segments {
		if own, ours := d.own(s); ours {
			parts = append(parts, storage.Part{Name: own, Size: s.Size})
		}
	}
	return errors.Join(err, d.gone(ctx, parts))
}

// describeSegments puts what is known of an object's segments into another object.
func (d *Driver) describeSegments(ctx context.Context, name, description string) error {
	var text json.RawMessage
	if err := d.do(ctx, segmentsOf(name, &text)); err != nil {
		return err
	}
	return d.Put(ctx, description, bytes.NewReader(text), storage.Durable)
}
