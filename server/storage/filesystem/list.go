package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// List reads the directory, without asking about each file in it.
func (d *Driver) List(_ context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		p, err := d.path(directory)
		if err != nil {
			yield(storage.Entry{}, err)
			return
		}
		entries, err := os.ReadDir(p) // sorted
		if err != nil && (p == d.root || !errors.Is(err, fs.ErrNotExist)) {
			yield(storage.Entry{}, err)
			return
		}
		for _, e := range entries {
			if e.Name() > after && e.Name() != scratch && !yield(storage.Entry{Name: e.Name(), Directory: e.IsDir()}, nil) {
				return
			}
		}
	}
}
