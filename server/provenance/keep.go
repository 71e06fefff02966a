package provenance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// write stores what has changed, the oldest first, and removes what is too much. What the
// store does not take is tried again.
func (j *Journal) write(ctx context.Context) {
	if !j.changed() {
		return
	}
	begun := false
	for _, f := range j.pending() {
		if f.written == f.changes {
			continue
		}
		text, err := f.text()
		if err == nil {
			err = j.store.Put(ctx, f.name, bytes.NewReader(text), storage.Volatile)
		}
		if err != nil {
			j.log.WarnContext(ctx, "the journal cannot be written now", "object", f.name, "error", err)
			break
		}
		begun = begun || f.written == 0
		j.wrote(f)
	}
	if begun {
		if err := j.trim(ctx); err != nil {
			j.log.WarnContext(ctx, "old parts of the journal stay", "error", err)
		}
	}
}

// changed says whether there is something to write.
func (j *Journal) changed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.full) > 0 || j.current.written != j.current.changes
}

// wrote notes that the store has a file as it was when it was copied.
func (j *Journal) wrote(copied *file) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost > 0 {
		j.log.Warn("a part of the journal is lost: the store did not take it", "entries", j.lost)
		j.lost = 0
	}
	if j.current.name == copied.name {
		j.current.written = copied.changes
	}
	j.full = slices.DeleteFunc(j.full, func(f *file) bool { return f.name == copied.name && f.changes == copied.changes })
}

// names are the files in the store, the oldest first.
func (j *Journal) names(ctx context.Context) ([]string, error) {
	var all []string
	for e, err := range j.store.List(ctx, directory, "") {
		if err != nil {
			return nil, err
		}
		if !e.Directory {
			all = append(all, path.Join(directory, e.Name))
		}
	}
	return all, nil
}

// trim removes the oldest files. Those that others write still are written again.
func (j *Journal) trim(ctx context.Context) error {
	all, err := j.names(ctx)
	for len(all) > mostFiles && err == nil {
		err = j.store.Delete(ctx, all[0])
		all = all[1:]
	}
	return err
}

// readAtOnce is how many files are read at the same time: a store that is far away takes
// its time for each.
const readAtOnce = 8

// read is what the store has beside some files.
func (j *Journal) read(ctx context.Context, but []*file) ([]*file, error) {
	names, err := j.names(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all []*file
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readAtOnce)
	for _, name := range names[max(0, len(names)-mostFiles):] {
		if slices.ContainsFunc(but, func(f *file) bool { return f.name == name }) {
			continue
		}
		group.Go(func() error {
			f, err := j.readFile(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, f)
			return err
		})
	}
	return all, group.Wait()
}

// maxFile is more than mostEntries of the longest names take.
const maxFile = 4 << 20

// readFile reads what one has that can be read: it need not be of this version.
func (j *Journal) readFile(ctx context.Context, name string) (*file, error) {
	f := &file{name: name}
	content, _, err := j.store.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil // just removed
	}
	if err != nil {
		return f, err
	}
	text, err := io.ReadAll(io.LimitReader(content, maxFile))
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) != nil {
			j.log.WarnContext(ctx, "a part of the journal cannot be read", "object", name)
			break
		}
		f.entries = append(f.entries, e)
	}
	return f, errors.Join(err, content.Close())
}
