package filesystem

import (
	"context"
	"path"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Whatever came first to a directory, its entry is synced with the first durable
// object in it, up to the root.
func TestEveryNewDirectoryIsPending(t *testing.T) {
	d, err := New(Options{Root: t.TempDir(), Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := d.Put(ctx, "_local/uploads/one", strings.NewReader("state"), storage.Volatile); err != nil {
		t.Fatal(err)
	}
	parts, _, err := d.Append(ctx, "_local/segments", nil, strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Concat(ctx, "_local/blobs/sha256:00/data", parts); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{".", "_local", "_local/blobs", "_local/blobs/sha256:00"} {
		if _, ok := d.directories.names[path.Join(d.root, dir)]; !ok {
			t.Errorf("%s is not pending: %v", dir, d.directories.names)
		}
	}
	if err := d.Put(ctx, "_local/repos/app/manifests/latest", strings.NewReader("{}"), storage.Durable); err != nil {
		t.Fatal(err)
	}
	if len(d.directories.names) != 0 {
		t.Errorf("after a durable Put there are pending %v", d.directories.names)
	}
}

// What need not be durable is not noted, or the notes would grow for ever.
func TestNothingIsPendingWithoutSync(t *testing.T) {
	d, err := New(Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(context.Background(), "a/b/c/object", strings.NewReader("x"), storage.Durable); err != nil {
		t.Fatal(err)
	}
	if len(d.directories.names) != 0 {
		t.Errorf("there are pending %v", d.directories.names)
	}
}
