package filesystem_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/filesystem"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
)

func open(t *testing.T, o filesystem.Options) *filesystem.Driver {
	t.Helper()
	d, err := filesystem.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	for name, sync := range map[string]bool{"synced": true, "not synced": false} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Driver {
				return open(t, filesystem.Options{Root: t.TempDir(), Sync: sync})
			})
		})
	}
}

// An open object is the bare file, which the kernel can send by itself.
func TestOpenGivesTheFile(t *testing.T) {
	d := open(t, filesystem.Options{Root: t.TempDir()})
	if err := d.Put(context.Background(), "object", strings.NewReader("x"), storage.Volatile); err != nil {
		t.Fatal(err)
	}
	f, _, err := d.Open(context.Background(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, ok := f.(*os.File); !ok {
		t.Errorf("Open gave a %T", f)
	}
}

// However many chunks arrive, there is one file, and it is that file which
// becomes the object: no byte is written twice.
func TestChunksAreAppendedToOneFile(t *testing.T) {
	root := t.TempDir()
	d := open(t, filesystem.Options{Root: root, Sync: true})
	var parts []storage.Part
	for _, chunk := range []string{"first,", "second,", "third"} {
		var err error
		if parts, err = storagetest.Append(context.Background(), d, "segments/one", parts, strings.NewReader(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	if len(parts) != 1 {
		t.Fatalf("%d parts: want 1", len(parts))
	}
	before, err := os.Stat(filepath.Join(root, parts[0].Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Concat(context.Background(), "object", parts); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(root, "object"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the object is another file than the part: %v", err)
	}
}

// A part that a crash has left shorter than was recorded is no base to go on.
func TestLostBytesAreNoticed(t *testing.T) {
	root := t.TempDir()
	d := open(t, filesystem.Options{Root: root})
	parts, err := storagetest.Append(context.Background(), d, "segments/one", nil, strings.NewReader("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, parts[0].Name), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := storagetest.Append(context.Background(), d, "segments/one", parts, strings.NewReader("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Append to a shortened part: %v", err)
	}
	if err := d.Concat(context.Background(), "object", parts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Concat of a shortened part: %v", err)
	}
}

func TestNewNamesTheDirectoryThatItCannotMake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := filesystem.New(filesystem.Options{Root: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("New below a file: %v", err)
	}
}

func BenchmarkAppendAndConcat(b *testing.B) {
	const size = 64 << 20
	d, err := filesystem.New(filesystem.Options{Root: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		parts, err := storagetest.Append(context.Background(), d, "segments/one", nil, io.LimitReader(zeros{}, size))
		if err == nil {
			err = d.Concat(context.Background(), "object", parts)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Two processes that append to one store would damage it.
func TestAStoreHasOneOwner(t *testing.T) {
	root := t.TempDir()
	first := open(t, filesystem.Options{Root: root})
	if _, err := filesystem.New(filesystem.Options{Root: root}); err == nil || !strings.Contains(err.Error(), root) {
		t.Errorf("a second owner: %v, want an error that names the store", err)
	}
	beside, err := filesystem.Attach(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := beside.Stat(context.Background(), "none"); !os.IsNotExist(err) {
		t.Errorf("beside the owner: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, filesystem.Options{Root: root}).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := filesystem.Attach(filepath.Join(root, "none")); err == nil {
		t.Error("a store that is not there can be attached to")
	}
}

// What was being written when a process ended is cleared away by the next.
func TestLeftoversAreSwept(t *testing.T) {
	root := t.TempDir()
	leftover := filepath.Join(root, ".put", "half")
	if err := os.MkdirAll(filepath.Dir(leftover), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(leftover, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, filesystem.Options{Root: root})
	if _, err := os.Stat(leftover); !os.IsNotExist(err) {
		t.Errorf("the leftover: %v", err)
	}
}
