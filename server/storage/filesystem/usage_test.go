package filesystem_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
)

// A store may lie behind a link, and files that are being written do not count.
func TestUsageBehindALink(t *testing.T) {
	place, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(place, link); err != nil {
		t.Fatal(err)
	}
	d, err := filesystem.New(filesystem.Options{Root: link, Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Put(t.Context(), "a/b", strings.NewReader("12345"), storage.Durable); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(place, ".put"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, ".put", "x"), []byte("123"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u, err := d.Usage(t.Context()); err != nil || u != (storage.Usage{Objects: 1, Bytes: 5}) {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestUsageOfAGoneStore(t *testing.T) {
	place := filepath.Join(t.TempDir(), "store")
	d, err := filesystem.New(filesystem.Options{Root: place})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := os.RemoveAll(place); err != nil {
		t.Fatal(err)
	}
	if u, err := d.Usage(t.Context()); err == nil {
		t.Errorf("%+v of a store that is gone", u)
	}
}
