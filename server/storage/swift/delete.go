package swift

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// atOnce is how many segments are deleted at the same time.
const atOnce = 8

// Delete removes an object and then its segments: nobody must find one that has lost
// some. When it ends in between, what is left belongs to nothing.
func (d *Driver) Delete(ctx context.Context, name string) error {
	segments, err := d.look(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // maybe since a moment ago
	}
	if err != nil {
		return err
	}
	if err := d.remove(ctx, name); err != nil {
		return err
	}
	return d.removeSegments(ctx, segments)
}

func (d *Driver) removeSegments(ctx context.Context, segments []found) error {
	var removing errgroup.Group
	removing.SetLimit(atOnce)
	for _, s := range segments {
		if own, ours := d.own(s); ours {
			removing.Go(func() error { return d.removeSegment(ctx, own, s.IsLarge) })
		}
	}
	return removing.Wait()
}

func (d *Driver) removeSegment(ctx context.Context, name string, isLarge bool) error {
	if isLarge {
		return d.Delete(ctx, name)
	}
	return d.remove(ctx, name)
}

// remove removes an object alone. It may have been removed by an attempt of which
// the answer was lost.
func (d *Driver) remove(ctx context.Context, name string) error {
	err := d.do(ctx, request{operation: http.MethodDelete, object: name})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
