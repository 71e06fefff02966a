package local

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// sweep removes from an area what was not marked.
type sweep struct{ *mark }

// area sweeps what refers to something before that, and parts once it is known to which
// objects they belong.
func (s sweep) area(ctx context.Context) error {
	before := s.faults
	if err := s.references(ctx); err != nil {
		return err
	}
	switch {
	case s.faults > before:
		s.Log.ErrorContext(ctx, "nothing else is removed: what is left may need it", "area", s.name)
		return nil
	case s.left > 0:
		s.Log.InfoContext(ctx, "the rest is left to another prune", "area", s.name)
		return nil
	}
	for _, sweep := range []func(context.Context) error{s.entries, s.unfinished} {
		if err := sweep(ctx); err != nil {
			return err
		}
	}
	before = s.faults
	for _, find := range []func(context.Context) error{s.partsOfQuarantine, s.partsOfUploads, s.blobs, s.partsOfQuarantine} { // check may move a blob meanwhile
		if err := find(ctx); err != nil {
			return err
		}
	}
	switch {
	case s.faults > before:
		s.Log.ErrorContext(ctx, "no parts are removed: it is not certain to which objects they belong", "area", s.name)
		return nil
	case s.left > 0: // a blob, maybe, that somebody touches now
		s.Log.InfoContext(ctx, "the parts are left to another prune", "area", s.name)
		return nil
	}
	return s.parts(ctx)
}

// references removes the records that have expired, tags before digests, and an index
// before what is in it: whoever makes one young begins with what is below. Where one
// cannot be removed, the rest stays.
func (s sweep) references(ctx context.Context) error {
	slices.SortStableFunc(s.expired, func(a, b expired) int { return a.round - b.round })
	before := s.faults
	for rest := s.expired; len(rest) > 0 && s.faults == before && s.left == 0; {
		group, removing := crowd(ctx)
		round := rest[0].round
		for len(rest) > 0 && rest[0].round == round {
			s.take(removing, group, rest[0].kind, rest[0].object, rest[0].moment)
			rest = rest[1:]
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// take removes an object as one of a group.
func (s sweep) take(ctx context.Context, group *errgroup.Group, kind Kind, object string, moment time.Time) {
	group.Go(func() error {
		_, err := s.remove(ctx, kind, object, moment)
		return s.fault(ctx, "it cannot be removed", object, err)
	})
}

// each does something with what is listed, side by side. A list that breaks off is a fault.
func (s sweep) each(ctx context.Context, directory string, list iter.Seq2[string, error], do func(ctx context.Context, object string) error) error {
	group, doing := crowd(ctx)
	for object, err := range list {
		if err != nil {
			return errors.Join(s.fault(ctx, "it cannot be listed", directory, err), group.Wait())
		}
		if doing.Err() != nil {
			break
		}
		group.Go(func() error {
			s.step()
			return s.fault(doing, "it cannot be swept", object, do(doing, object))
		})
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// entries removes what leads from or to manifests and blobs that nothing needs.
func (s sweep) entries(ctx context.Context) error {
	referrers := path.Join(s.name, referrersDirectory)
	err := s.each(ctx, referrers, s.below(ctx, referrers), func(ctx context.Context, object string) error {
		if s.needs(object) {
			return nil
		}
		_, err := s.remove(ctx, ReferrerKind, object, s.unneeded)
		return err
	})
	if err != nil {
		return err
	}
	sources := path.Join(s.name, upstreamDirectory, sourcesDirectory)
	return s.each(ctx, sources, s.below(ctx, sources), func(ctx context.Context, object string) error {
		if d, err := oci.ParseDigest(path.Base(object)); err != nil || s.needs(blobName(s.name, d)) {
			return nil
		}
		_, err := s.remove(ctx, SourceKind, object, s.unneeded)
		return err
	})
}

// below yields all objects of a directory, at any depth.
func (s sweep) below(ctx context.Context, directory string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { s.walk(ctx, directory, yield) }
}

func (s sweep) walk(ctx context.Context, directory string, yield func(string, error) bool) bool {
	for e, err := range s.registry.driver.List(ctx, directory, "") {
		object := path.Join(directory, e.Name)
		switch {
		case err != nil:
			return yield("", err)
		case e.Directory && !s.walk(ctx, object, yield), !e.Directory && !yield(object, nil):
			return false
		}
	}
	return true
}

// in yields what is directly in a directory, objects or directories.
func (s sweep) in(ctx context.Context, directory string, directories bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range s.registry.driver.List(ctx, directory, "") {
			if (err != nil || e.Directory == directories) && !yield(path.Join(directory, e.Name), err) {
				return
			}
		}
	}
}

// unfinished gives up uploads that nobody goes on with. Their parts are swept as those
// that belong to nothing: they may be a blob's by now.
func (s sweep) unfinished(ctx context.Context) error {
	uploads := path.Join(s.name, uploadsDirectory)
	return s.each(ctx, uploads, s.in(ctx, uploads, false), func(ctx context.Context, object string) error {
		_, err := s.remove(ctx, UploadKind, object, s.unneeded)
		return err
	})
}

// partsOfUploads marks the parts of the uploads that are left.
func (s sweep) partsOfUploads(ctx context.Context) error {
	uploads := path.Join(s.name, uploadsDirectory)
	return s.each(ctx, uploads, s.in(ctx, uploads, false), func(ctx context.Context, object string) error {
		state, info, err := s.registry.readState(ctx, object)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errDamaged): // nobody can go on with it
			return nil
		case err != nil || s.DryRun && !info.Modified.After(s.unneeded):
			return err
		}
		for _, p := range state.Parts {
			s.need(p.Name)
		}
		return nil
	})
}

// blobs removes the blobs that nothing needs, marks the parts of the others, and removes
// what the original has left beside them.
func (s sweep) blobs(ctx context.Context) error {
	blobs := path.Join(s.name, blobsDirectory)
	return s.each(ctx, blobs, s.in(ctx, blobs, true), func(ctx context.Context, directory string) error {
		d, err := oci.ParseDigest(path.Base(directory))
		if err != nil {
			s.Log.WarnContext(ctx, "it is not called by a digest, and is left alone", "object", directory)
			return nil
		}
		object := blobName(s.name, d)
		gone := false
		if !s.needs(object) {
			gone, err = s.remove(ctx, BlobKind, object, s.unneeded)
		}
		if err == nil && (!gone || s.DryRun) {
			err = s.needParts(ctx, object)
		}
		if err != nil {
			return err
		}
		return s.partsBelow(ctx, directory)
	})
}

func (s sweep) needParts(ctx context.Context, object string) error {
	parts, err := s.registry.driver.Parts(ctx, object)
	for _, p := range parts {
		s.need(p)
	}
	return err
}

func (s sweep) partsOfQuarantine(ctx context.Context) error {
	quarantine := path.Join(s.name, quarantineDirectory)
	return s.each(ctx, quarantine, s.in(ctx, quarantine, false), s.needParts)
}

// parts removes those that belong to nothing: ours, and those of the original's unfinished
// uploads, each of which has a directory.
func (s sweep) parts(ctx context.Context) error {
	segments := segmentsOf(s.name)
	if err := s.each(ctx, segments, s.below(ctx, segments), s.part); err != nil {
		return err
	}
	uploads := path.Join(s.name, uploadsDirectory)
	return s.each(ctx, uploads, s.in(ctx, uploads, true), func(ctx context.Context, directory string) error {
		// Where that was all, or nothing, the directory goes as well.
		return errors.Join(s.partsBelow(ctx, directory), s.part(ctx, path.Join(directory, dataObject)))
	})
}

// partsBelow removes the parts in a directory that belong to nothing.
func (s sweep) partsBelow(ctx context.Context, directory string) error {
	for object, err := range s.below(ctx, directory) {
		if err == nil && path.Base(object) != dataObject {
			err = s.part(ctx, object)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s sweep) part(ctx context.Context, object string) error {
	if s.needs(object) {
		return nil
	}
	_, err := s.remove(ctx, PartKind, object, s.unneeded)
	return err
}
