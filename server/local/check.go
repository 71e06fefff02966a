package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"opendev.org/zuul/zuul-registry/server/oci"
)

// Fault is something wrong in the store.
type Fault struct {
	Object  string // its name in the store
	Problem string
}

// Inspection is a reading of the whole store.
type Inspection struct {
	Report   func(Fault)           // called for each fault
	Progress func(done, total int) // called after each object
}

// Check compares every blob with its digest, and every manifest that was pushed
// with what it refers to. What is pushed or deleted meanwhile may be missed or reported. An
// error is one of reading, not a fault of the content.
func (r *Registry) Check(ctx context.Context, i Inspection) error {
	c := check{registry: r, Inspection: i}
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
	done, total int
}

// objects yields the names of an area's blobs and records.
func (c *check) objects(ctx context.Context, area string, blob, record func(name string) error) error {
	for e, err := range c.registry.driver.List(ctx, path.Join(area, blobsDirectory), "") {
		if err == nil {
			err = blob(e.Name)
		}
		if err != nil {
			return err
		}
	}
	for name, err := range c.registry.repositories(ctx, area, "") {
		if err != nil {
			return err
		}
		for e, err := range c.registry.driver.List(ctx, recordsOf(name), "") {
			if err == nil {
				err = record(path.Join(name.Repository, e.Name))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *check) count(ctx context.Context, area string) error {
	one := func(string) error { c.total++; return nil }
	return c.objects(ctx, area, one, one)
}

func (c *check) inspect(ctx context.Context, area string) error {
	step := func(inspect func(context.Context, string, string) error) func(string) error {
		return func(name string) error {
			if err := errors.Join(inspect(ctx, area, name), ctx.Err()); err != nil {
				return err
			}
			c.done++
			c.Progress(c.done, max(c.done, c.total))
			return nil
		}
	}
	return c.objects(ctx, area, step(c.blob), step(c.record))
}

func (c *check) fault(object, format string, args ...any) {
	c.Report(Fault{object, fmt.Sprintf(format, args...)})
}

// blob reads a blob and compares its digest.
func (c *check) blob(ctx context.Context, area, name string) error {
	d, err := oci.ParseDigest(name)
	if err != nil {
		c.fault(path.Join(area, blobsDirectory, name), "is not called by a digest")
		return nil
	}
	f, _, err := c.registry.driver.Open(ctx, blobName(area, d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile, or a push that ended before it
	}
	if err != nil {
		c.fault(blobName(area, d), "%v", err)
		return nil
	}
	h := d.Algorithm().New()
	_, err = io.Copy(h, reader{ctx, f})
	switch actual := d.Algorithm().Digest(h); {
	case ctx.Err() != nil:
	case err != nil:
		c.fault(blobName(area, d), "%v", err)
	case actual != d:
		c.fault(blobName(area, d), "has the content of %s", actual)
	}
	return f.Close()
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

// record compares a manifest with what it refers to: under its digest, and not
// again under each of its tags.
func (c *check) record(ctx context.Context, area, name string) error {
	repository, last := path.Split(name)
	repo := oci.Name{Area: area, Repository: path.Clean(repository)}
	object := path.Join(recordsOf(repo), last)
	ref, err := oci.ParseReference(last)
	if err != nil {
		c.fault(object, "is neither a tag nor a digest")
		return nil
	}
	t, err := c.registry.resolve(ctx, repo, ref)
	if errors.Is(err, oci.ManifestUnknown) {
		return nil // deleted meanwhile
	}
	if err != nil {
		c.fault(object, "%v", err)
		return nil
	}
	if ref.IsDigest() && t.Digest != ref.Digest {
		c.fault(object, "names another manifest, %s", t.Digest)
		return nil
	}
	if _, err := c.registry.driver.Stat(ctx, digestName(repo, t.Digest)); !ref.IsDigest() && err == nil {
		return nil
	}
	return c.manifest(ctx, repo, object, t.Digest)
}

func (c *check) manifest(ctx context.Context, name oci.Name, object string, d oci.Digest) error {
	refs, err := c.registry.references(ctx, name.Area, d)
	if err != nil {
		c.fault(object, "its manifest cannot be read: %v", err)
		return nil
	}
	missing, err := c.registry.missing(ctx, name, refs)
	if err != nil {
		c.fault(object, "%v", err)
		return nil
	}
	for _, m := range slices.Concat(missing.Blobs, missing.Manifests) {
		c.fault(object, "refers to %s, which is not there", m.Digest)
	}
	return c.sizes(ctx, name, object, refs)
}

// sizes compares what a manifest says of its blobs' sizes.
func (c *check) sizes(ctx context.Context, name oci.Name, object string, refs oci.References) error {
	for _, b := range refs.Blobs {
		there, err := c.registry.StatBlob(ctx, name, b.Digest)
		switch {
		case errors.Is(err, oci.BlobUnknown): // a non-distributable layer, or one to be fetched
		case err != nil:
			return err
		case there.Size != b.Size:
			c.fault(object, "says that blob %s has %d bytes: it has %d", b.Digest, b.Size, there.Size)
		}
	}
	return nil
}
