package swift_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// operation is what a driver does, and whether it was done.
type operation struct {
	name  string
	meant string // the request that fails
	named string // how the log and errors name it
	do    func(ctx context.Context, d *swift.Driver) error
}

// operations find “d/object”, and “d/large” which has two parts.
var operations = []operation{
	{"Stat", "HEAD images/d/object", "HEAD of images/d/object", func(ctx context.Context, d *swift.Driver) error {
		info, err := d.Stat(ctx, "d/object")
		if err == nil && info.Size != int64(len("content")) {
			err = fmt.Errorf("it has %d bytes", info.Size)
		}
		return err
	}},
	{"Open", "GET images/d/object", "GET of images/d/object", func(ctx context.Context, d *swift.Driver) error {
		return holds(ctx, d, "d/object", "content")
	}},
	{"Put", "PUT images/d/new", "PUT of images/d/new", func(ctx context.Context, d *swift.Driver) error {
		if err := d.Put(ctx, "d/new", strings.NewReader("new content"), storage.Volatile); err != nil {
			return err
		}
		return holds(ctx, d, "d/new", "new content")
	}},
	{"Append", "PUT images/parts/one/", "PUT of images/parts/one/", func(ctx context.Context, d *swift.Driver) error {
		content := strings.Repeat("a part ", 50_000)
		parts, err := storagetest.Append(ctx, d, "parts/one", nil, strings.NewReader(content))
		if err != nil {
			return err
		}
		return holds(ctx, d, parts[0].Name, content)
	}},
	{"Concat", "PUT images/d/new", "PUT of images/d/new", func(ctx context.Context, d *swift.Driver) error {
		parts, err := storagetest.Append(ctx, d, "parts/one", nil, strings.NewReader("new content"))
		if err := errors.Join(err, d.Concat(ctx, "d/new", parts)); err != nil {
			return err
		}
		return holds(ctx, d, "d/new", "new content")
	}},
	{"Concat of nothing", "PUT images/d/new", "PUT of images/d/new", func(ctx context.Context, d *swift.Driver) error {
		if err := d.Concat(ctx, "d/new", nil); err != nil {
			return err
		}
		return holds(ctx, d, "d/new", "")
	}},
	{"Delete", "DELETE images/d/large", "DELETE of images/d/large", deleted},
	{"Delete, when it looks", "HEAD images/d/large", "HEAD of images/d/large", deleted},
	{"Delete, of what", "GET images/d/large", "GET of images/d/large", deleted},
	{"Delete, of a segment", "DELETE images/parts/", "DELETE of images/parts/", deleted},
	{"List", "GET images", "GET of images", func(ctx context.Context, d *swift.Driver) error {
		all, err := names(ctx, d, "d", "")
		if err == nil && !slices.Equal(all, []string{"large", "object"}) {
			err = fmt.Errorf("it lists %q", all)
		}
		return err
	}},
	{"Touch", "POST images/d/object", "POST of images/d/object", func(ctx context.Context, d *swift.Driver) error {
		before, err := d.Stat(ctx, "d/object")
		if err := errors.Join(err, d.Touch(ctx, "d/object")); err != nil {
			return err
		}
		if after, err := d.Stat(ctx, "d/object"); err != nil || !after.Modified.After(before.Modified) {
			return fmt.Errorf("%v: it was modified at %v, and then at %v", err, before.Modified, after.Modified)
		}
		return nil
	}},
	{"Touch, when it looks for a marker", "HEAD images/.expiring/d/object", "HEAD of images/.expiring/d/object", touched},
	{"Touch, when it looks again", "HEAD images/d/object", "HEAD of images/d/object", touched},
	{"Expire, when it looks", "HEAD images/d/large", "HEAD of images/d/large", expired},
	{"Expire, of what", "GET images/d/large", "GET of images/d/large", expired},
	{"Expire, when it looks whose turn it is", "HEAD images/.expiring", "HEAD of images/.expiring", expired},
	{"Expire, of a segment", "DELETE images/parts/", "DELETE of images/parts/", expired},
	{"Parts", "GET images/d/large", "GET of images/d/large", func(ctx context.Context, d *swift.Driver) error {
		all, err := d.Parts(ctx, "d/large")
		if err == nil && len(all) != 2 {
			err = fmt.Errorf("the parts are %q", all)
		}
		return err
	}},
	{"Rename", "COPY images/d/large", "COPY of images/d/large", renamed},
	{"Rename, of the old name", "DELETE images/d/large", "DELETE of images/d/large", renamed},
}

func touched(ctx context.Context, d *swift.Driver) error { return d.Touch(ctx, "d/object") }

func renamed(ctx context.Context, d *swift.Driver) error {
	if err := d.Rename(ctx, "d/large", "d/new"); err != nil {
		return err
	}
	if _, err := d.Stat(ctx, "d/large"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the old name: %w", err)
	}
	return holds(ctx, d, "d/new", "first,second")
}

func deleted(ctx context.Context, d *swift.Driver) error {
	if err := d.Delete(ctx, "d/large"); err != nil {
		return err
	}
	return isGone(ctx, d)
}

func expired(ctx context.Context, d *swift.Driver) error {
	if expired, err := d.Expire(ctx, "d/large", time.Now()); err != nil || !expired {
		return errors.Join(err, fmt.Errorf("expired: %v", expired))
	}
	return isGone(ctx, d)
}

func isGone(ctx context.Context, d *swift.Driver) error {
	if all, err := names(ctx, d, "parts", ""); err != nil || len(all) > 0 {
		return fmt.Errorf("%v: the store has %q", err, all)
	}
	if _, err := d.Stat(ctx, "d/large"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a deleted object: %w", err)
	}
	return nil
}

// prepared opens a driver, with what operations find.
func prepared(t *testing.T, s *pretend.Swift, n int) *swift.Driver {
	t.Helper()
	d := open(t, s, func(o *swift.Options) { unkept(o); o.Retries = n })
	put(t, d, "d/object", "content")
	link(t, d, "d/large", "first,", "second")
	s.Asked()
	return d
}
