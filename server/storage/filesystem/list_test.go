package filesystem

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// aged makes a store with a directory of many objects that last changed a while
// ago.
func aged(t testing.TB, objects int) (d *Driver, dir string) {
	t.Helper()
	d, err := New(Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(d.root, "many")
	for i := range objects {
		if err := d.Put(context.Background(), fmt.Sprintf("many/%06d", i), strings.NewReader(""), storage.Volatile); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dir, before, before); err != nil {
		t.Fatal(err)
	}
	return d, dir
}

func count(t testing.TB, d *Driver, after string) int {
	t.Helper()
	n := 0
	for _, err := range d.List(context.Background(), "many", after) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// A listing is kept while its directory is unchanged, and no longer.
func TestListingIsKept(t *testing.T) {
	d, dir := aged(t, worthKeeping)
	if n := count(t, d, "000009"); n != worthKeeping-10 {
		t.Errorf("%d entries after 000009, want %d", n, worthKeeping-10)
	}
	if len(d.listings.kept) != 1 || d.listings.entries != worthKeeping {
		t.Errorf("kept: %d directories with %d entries, want 1 with %d", len(d.listings.kept), d.listings.entries, worthKeeping)
	}
	if n := count(t, d, ""); n != worthKeeping {
		t.Errorf("%d entries, want %d", n, worthKeeping)
	}
	if err := d.Delete(context.Background(), "many/000000"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, ""); n != worthKeeping-1 {
		t.Errorf("%d entries after a deletion, want %d", n, worthKeeping-1)
	}
	later := time.Now().Add(-time.Minute)
	if err := os.Chtimes(dir, later, later); err != nil {
		t.Fatal(err)
	}
	count(t, d, "")
	if len(d.listings.kept) != 0 || d.listings.entries != 0 {
		t.Errorf("kept: %d directories with %d entries, want none that small", len(d.listings.kept), d.listings.entries)
	}
}

func TestListingsAreBounded(t *testing.T) {
	l := newListings()
	for i := range 5 {
		l.keep(fmt.Sprint(i), listing{entries: make([]storage.Entry, mostKept/2)})
	}
	if l.entries > mostKept || len(l.kept) != 2 {
		t.Errorf("kept: %d directories with %d entries", len(l.kept), l.entries)
	}
}

// A store whose volume is no longer there has faults, and no misses.
func TestGoneStoreIsAFault(t *testing.T) {
	d, _ := aged(t, 1)
	if err := os.RemoveAll(d.root); err != nil {
		t.Fatal(err)
	}
	for _, empty := range []bool{false, true} { // as a mount point without its volume
		if empty {
			if err := os.Mkdir(d.root, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		ctx := context.Background()
		_, stat := d.Stat(ctx, "many/object")
		_, _, open := d.Open(ctx, "many/object")
		put := d.Put(ctx, "many/object", strings.NewReader(""), storage.Volatile)
		_, _, add := d.Append(ctx, "segments", nil, strings.NewReader("x"))
		remove := d.Delete(ctx, "many/object")
		touch := d.Touch(ctx, "many/object")
		var list error
		for _, err := range d.List(ctx, "many", "") {
			list = err
		}
		for what, err := range map[string]error{"Stat": stat, "Open": open, "Put": put, "Append": add, "List": list, "Delete": remove, "Touch": touch} {
			if err == nil || os.IsNotExist(err) || !strings.Contains(err.Error(), "gone") {
				t.Errorf("%s (empty root: %v): %v, want a fault", what, empty, err)
			}
		}
	}
}

func BenchmarkPageOfTenThousand(b *testing.B) {
	d, _ := aged(b, 10_000)
	for b.Loop() {
		for range d.List(context.Background(), "many", "005000") {
			break
		}
	}
}
