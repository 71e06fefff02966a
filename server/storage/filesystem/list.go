package filesystem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// List reads the directory, without asking about each file in it.
func (d *Driver) List(_ context.Context, directory, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		entries, err := d.entries(directory)
		if err != nil {
			yield(storage.Entry{}, err)
			return
		}
		first := sort.Search(len(entries), func(i int) bool { return entries[i].Path() > after })
		for _, e := range entries[first:] {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (d *Driver) entries(directory string) ([]storage.Entry, error) {
	p, err := d.path(directory)
	if err != nil {
		return nil, err
	}
	entries, err := d.listings.read(p)
	if err = d.miss(err); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// listings keeps large directories while they are unchanged: a listing that is
// read in pages reads the directory once.
type listings struct {
	reading chan struct{} // takes a value while a directory is read: they may be large

	mu      sync.Mutex
	kept    map[string]listing
	entries int // of all that are kept
}

func newListings() *listings {
	const atOnce = 2
	return &listings{reading: make(chan struct{}, atOnce), kept: map[string]listing{}}
}

// listing is a directory as it was.
type listing struct {
	modified time.Time
	entries  []storage.Entry // sorted
}

const (
	worthKeeping = 100     // entries of a directory
	mostKept     = 200_000 // entries of all: some 20 MiB

	// A directory that has just changed may change again without a new time: the
	// kernel's clock for files is coarse.
	settled = 100 * time.Millisecond
)

func (l *listings) read(dir string) ([]storage.Entry, error) {
	if entries, err := l.get(dir); entries != nil || err != nil {
		return entries, err
	}
	l.reading <- struct{}{}
	defer func() { <-l.reading }()
	if entries, err := l.get(dir); entries != nil || err != nil { // somebody else was first
		return entries, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	unsettled := time.Since(info.ModTime()) < settled
	entries, err := readDirectory(dir)
	if err == nil && !unsettled {
		l.keep(dir, listing{info.ModTime(), entries})
	}
	return entries, err
}

// get is the listing that is kept, if the directory is still the same.
func (l *listings) get(dir string) ([]storage.Entry, error) {
	l.mu.Lock()
	kept, ok := l.kept[dir]
	l.mu.Unlock()
	if !ok {
		return nil, nil
	}
	info, err := os.Stat(dir)
	if err != nil || !info.ModTime().Equal(kept.modified) {
		return nil, err
	}
	return kept.entries, nil
}

// keep keeps a listing that is worth it, and makes room by dropping any others.
func (l *listings) keep(dir string, next listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries -= len(l.kept[dir].entries)
	delete(l.kept, dir)
	if len(next.entries) < worthKeeping {
		return
	}
	l.entries += len(next.entries)
	l.kept[dir] = next
	for other, kept := range l.kept {
		if l.entries <= mostKept {
			return
		}
		delete(l.kept, other)
		l.entries -= len(kept.entries)
	}
}

// readDirectory lists a directory by ascending paths.
func readDirectory(dir string) ([]storage.Entry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var entries []storage.Entry
	for err == nil {
		const most = 1000 // of what the system says, which is more than is needed
		var found []os.DirEntry
		found, err = f.ReadDir(most)
		for _, e := range found {
			if e.Name() != scratch && e.Name() != lockFile {
				entries = append(entries, storage.Entry{Name: e.Name(), Directory: e.IsDir()})
			}
		}
	}
	if err != io.EOF {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b storage.Entry) int { return strings.Compare(a.Path(), b.Path()) })
	return entries, nil
}
