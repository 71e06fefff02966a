package local

import (
	"context"
	"fmt"
	"iter"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// Fault is something wrong in the store.
type Fault struct {
	Object  string // its name in the store
	Problem string
	Moved   string // its name now, if it was moved
}

// Inspection is a reading of the whole store.
type Inspection struct {
	// Quarantine has damaged blobs moved aside: they are not there then, and can be
	// pushed or fetched again.
	Quarantine bool
	Report     func(Fault)           // called for each fault, one at a time
	Progress   func(done, total int) // called after each object, one at a time
}

// Check compares every blob with its digest, every manifest that was pushed with what it
// refers to, and all that there is with the layout. It makes nothing young. What is pushed
// or deleted meanwhile may be missed or reported. An error is one of listing the store,
// not a fault of the content.
func (r *Registry) Check(ctx context.Context, i Inspection) error {
	c := &check{registry: r, Inspection: i}
	for _, visit := range []func(context.Context, string) error{c.count, c.inspect} {
		for area, err := range r.areas(ctx) {
			if err != nil {
				return err
			}
			if err := visit(ctx, area); err != nil {
				return err
			}
		}
	}
	return nil
}

// check is an inspection under way.
type check struct {
	registry *Registry
	Inspection

	mu          sync.Mutex // of what follows, and of the callbacks
	done, total int
}

// look inspects something that was found.
type look func(context.Context)

// search finds what an area has.
type search struct {
	*check
	area  string
	found func(look)
}

func (c *check) count(ctx context.Context, area string) error {
	s := search{c, area, func(look) { c.total++ }}
	if err := s.blobs(ctx); err != nil {
		return err
	}
	return s.others(ctx)
}

// inspect reads the blobs first: those that are moved are missing then.
func (c *check) inspect(ctx context.Context, area string) error {
	// Enough to keep all processors busy while some wait for the store, and few enough
	// for a disk that has to seek.
	blobsAtOnce := max(4, 2*runtime.GOMAXPROCS(0))
	if err := c.do(ctx, area, blobsAtOnce, search.blobs); err != nil {
		return err
	}
	return c.do(ctx, area, atOnce, search.others)
}

// do has a look at all that is found, at some things at the same time.
func (c *check) do(ctx context.Context, area string, atOnce int, find func(search, context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.SetLimit(atOnce)
	err := find(search{c, area, func(l look) {
		group.Go(func() error {
			l(ctx)
			c.step(ctx)
			return nil
		})
	}}, ctx)
	if err != nil {
		stop()
	}
	_ = group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return err
}

func (c *check) step(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil {
		c.done++
		c.Progress(c.done, max(c.done, c.total))
	}
}

// report reports a fault, but for those that come of the end of the context.
func (c *check) report(ctx context.Context, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil {
		c.Report(f)
	}
}

func (c *check) fault(ctx context.Context, object, format string, args ...any) {
	problem := fmt.Sprintf(format, args...)
	// Errors about an object begin with its name.
	c.report(ctx, Fault{Object: object, Problem: strings.TrimPrefix(problem, object+" ")})
}

// complain is a look at what is found to be wrong at once.
func (c *check) complain(object, problem string) look {
	return func(ctx context.Context) { c.fault(ctx, object, "%s", problem) }
}

func (c *check) stray(object string) look { return c.complain(object, "is nothing that belongs here") }

// list is the driver's List, which ends when the context does.
func (c *check) list(ctx context.Context, directory string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range c.registry.driver.List(ctx, directory, "") {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// blobs finds the blobs.
func (s search) blobs(ctx context.Context) error {
	directory := path.Join(s.area, blobsDirectory)
	for e, err := range s.list(ctx, directory) {
		if err != nil {
			return err
		}
		object := path.Join(directory, e.Name)
		switch d, err := oci.ParseDigest(e.Name); {
		case !e.Directory:
			s.found(s.stray(object))
		case err != nil:
			s.found(s.complain(object, "is not called by a digest"))
		default:
			s.found(func(ctx context.Context) { s.blob(ctx, d) })
		}
	}
	return nil
}

// finder finds what is in a directory.
type finder func(ctx context.Context, directory string) error

// others finds what is not a blob. What is below segments is the driver's to name.
func (s search) others(ctx context.Context) error {
	passOver := func(context.Context, string) error { return nil }
	return s.known(ctx, s.area, map[string]finder{
		blobsDirectory:      passOver,
		segmentsDirectory:   passOver,
		reposDirectory:      s.records(s.pushed),
		referrersDirectory:  s.referrers,
		uploadsDirectory:    s.uploads,
		quarantineDirectory: s.calledByDigest(func(string, oci.Digest) {}),
		upstreamDirectory: func(ctx context.Context, directory string) error {
			return s.known(ctx, directory, map[string]finder{
				reposDirectory:   s.records(s.fetched),
				sourcesDirectory: s.calledByDigest(s.source),
			})
		},
	})
}

// known finds what is in the directories of a directory, each in its way.
func (s search) known(ctx context.Context, directory string, find map[string]finder) error {
	for e, err := range s.list(ctx, directory) {
		if err != nil {
			return err
		}
		object := path.Join(directory, e.Name)
		if find[e.Name] == nil || !e.Directory {
			s.found(s.stray(object))
		} else if err := find[e.Name](ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// calledByDigest finds objects that are called so.
func (s search) calledByDigest(found func(object string, d oci.Digest)) finder {
	return func(ctx context.Context, directory string) error {
		for e, err := range s.list(ctx, directory) {
			if err != nil {
				return err
			}
			object := path.Join(directory, e.Name)
			if d, err := oci.ParseDigest(e.Name); err != nil || e.Directory {
				s.found(s.stray(object))
			} else {
				found(object, d)
			}
		}
		return nil
	}
}

// records finds the tags and digests of all repositories.
func (s search) records(found func(name oci.Name, object string, ref oci.Reference)) finder {
	isRecords := func(name string) bool { return name == recordsDirectory }
	return s.tree("", isRecords, func(ctx context.Context, name oci.Name, directory string) error {
		for e, err := range s.list(ctx, directory) {
			if err != nil {
				return err
			}
			object := path.Join(directory, e.Name)
			switch ref, err := oci.ParseReference(e.Name); {
			case e.Directory:
				s.found(s.stray(object))
			case err != nil:
				s.found(s.complain(object, "is neither a tag nor a digest"))
			default:
				found(name, object, ref)
			}
		}
		return nil
	})
}

// referrers finds what is listed as referring to a subject.
func (s search) referrers(ctx context.Context, root string) error {
	isSubject := func(name string) bool { _, err := oci.ParseDigest(name); return err == nil }
	return s.tree("", isSubject, func(ctx context.Context, name oci.Name, directory string) error {
		subject := path.Base(directory)
		return s.calledByDigest(func(object string, d oci.Digest) { s.referrer(name, subject, object, d) })(ctx, directory)
	})(ctx, root)
}

// tree finds the directories of a kind that repositories have, which are directories in
// each other.
func (s search) tree(repository string, isKind func(name string) bool, find func(ctx context.Context, name oci.Name, directory string) error) finder {
	return func(ctx context.Context, directory string) error {
		for e, err := range s.list(ctx, directory) {
			if err != nil {
				return err
			}
			below := path.Join(directory, e.Name)
			switch isOne := isKind(e.Name); {
			case !e.Directory, isOne && repository == "":
				s.found(s.stray(below))
			case isOne:
				err = find(ctx, oci.Name{Area: s.area, Repository: repository}, below)
			default:
				err = s.tree(path.Join(repository, unescape(e.Name)), isKind, find)(ctx, below)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// uploads finds the unfinished ones, which of the original are directories.
func (s search) uploads(ctx context.Context, directory string) error {
	for e, err := range s.list(ctx, directory) {
		if err != nil {
			return err
		}
		object := path.Join(directory, e.Name)
		if e.Directory {
			s.found(func(ctx context.Context) { s.hasOnly(ctx, object, isOriginal) })
		} else {
			s.found(func(ctx context.Context) { s.upload(ctx, object) })
		}
	}
	return nil
}

// originalPart is what Python zuul-registry calls the parts of an upload, and what it
// knows of it. They are a blob's, or left over.
var originalPart = regexp.MustCompile(`^([0-9]+|metadata)$`)

func isOriginal(e storage.Entry) bool { return !e.Directory && originalPart.MatchString(e.Name) }

// hasOnly looks for what does not belong in a directory.
func (c *check) hasOnly(ctx context.Context, directory string, belongs func(storage.Entry) bool) {
	for e, err := range c.list(ctx, directory) {
		switch {
		case err != nil:
			c.fault(ctx, directory, "cannot be listed: %v", err)
		case !belongs(e):
			c.stray(path.Join(directory, e.Name))(ctx)
		}
	}
}
