package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage"
)

// blob looks at a blob, and at what else is in its directory.
func (s search) blob(ctx context.Context, d oci.Digest) {
	s.content(ctx, d)
	directory := path.Dir(blobName(s.area, d))
	uploads := path.Join(directory, uploadsDirectory)
	s.hasOnly(ctx, directory, func(e storage.Entry) bool {
		if e.Directory && e.Name == uploadsDirectory {
			s.hasOnly(ctx, uploads, func(e storage.Entry) bool {
				if e.Directory {
					s.hasOnly(ctx, path.Join(uploads, e.Name), isOriginal)
				}
				return e.Directory
			})
			return true
		}
		return !e.Directory && e.Name == dataObject || isOriginal(e)
	})
}

// content compares a blob with its digest.
func (s search) content(ctx context.Context, d oci.Digest) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		r := s.read(ctx, d)
		if r.problem == "" {
			return
		}
		now, err := s.registry.driver.Stat(ctx, blobName(s.area, d))
		if errors.Is(err, fs.ErrNotExist) {
			return // deleted meanwhile
		}
		// Who stores it anew, or touches it, must not lose it.
		same := err == nil && now.Size == r.info.Size && now.Modified.Equal(r.info.Modified)
		if err == nil && !same && attempt < attempts {
			continue
		}
		f := Fault{Object: blobName(s.area, d), Problem: r.problem}
		if s.Quarantine && r.damaged && same && ctx.Err() == nil {
			ctx = context.WithoutCancel(ctx) // what is half moved has its parts twice
			f = s.moveAside(ctx, f, quarantineName(s.area, d))
		}
		s.report(ctx, f)
		return
	}
}

// reading is what came of reading a blob.
type reading struct {
	info    storage.Info
	problem string // empty: there is none, or no blob
	damaged bool   // and it is not that it cannot be read now
}

// read reads a blob whole.
func (s search) read(ctx context.Context, d oci.Digest) (r reading) {
	object := blobName(s.area, d)
	f, info, err := s.registry.driver.Open(ctx, object)
	if errors.Is(err, fs.ErrNotExist) {
		return reading{} // deleted meanwhile, or a push that ended before it
	}
	if err != nil {
		// A later Stat has to be compared with something.
		info, _ = s.registry.driver.Stat(ctx, object)
		return s.unreadable(ctx, object, info, err)
	}
	h := d.Algorithm().New()
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	n, err := io.CopyBuffer(h, reader{ctx, f}, *buffer)
	if err == nil && n != info.Size {
		err = fmt.Errorf("it ends after %d of %d bytes", n, info.Size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return s.unreadable(ctx, object, info, err)
	}
	if actual := d.Algorithm().Digest(h); actual != d {
		return reading{info, "has the content of " + actual.String(), true}
	}
	return reading{}
}

// unreadable finds out whether a blob cannot be read because parts of it are lost.
func (s search) unreadable(ctx context.Context, object string, info storage.Info, err error) reading {
	r := reading{info: info, problem: fmt.Sprintf("cannot be read: %v", err)}
	parts, err := s.registry.driver.Parts(ctx, object)
	if err != nil {
		return r
	}
	var lost []string
	for _, p := range parts {
		if _, err := s.registry.driver.Stat(ctx, p); errors.Is(err, fs.ErrNotExist) {
			lost = append(lost, p)
		}
	}
	switch len(lost) {
	case 0:
		return r
	case 1:
		r.problem = "has lost its part " + lost[0]
	default:
		r.problem = fmt.Sprintf("has lost %d of its %d parts, the first of them %s", len(lost), len(parts), lost[0])
	}
	r.damaged = true
	return r
}

// moveAside moves what has a fault, in the place of what was moved before: of that prune
// takes the parts, unless they are the same, as after a move that was cut off.
func (s search) moveAside(ctx context.Context, f Fault, to string) Fault {
	if err := s.registry.driver.Rename(ctx, f.Object, to); err != nil {
		f.Problem += fmt.Sprintf("; it cannot be moved: %v", err)
		return f
	}
	f.Moved = to
	return f
}

// reader ends when its context does.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
