package provenance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// write stores what has changed, the oldest first, and removes what is too much. What the
// store does not take is left for the next time.
func (j *Journal) write(ctx context.Context) error {
	if !j.changed() {
		return nil
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
			return err
		}
		begun = begun || f.written == 0
		j.wrote(f)
	}
	if begun {
		return j.trim(ctx)
	}
	return nil
}

// losses are the entries that could not be kept.
func (j *Journal) losses() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
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
	if j.current.name == copied.name {
		j.current.written = copied.changes
	}
	j.full = slices.DeleteFunc(j.full, func(f *file) bool { return f.name == copied.name && f.changes == copied.changes })
	if !slices.Contains(j.stored, copied.name) {
		j.stored = append(j.stored, copied.name)
		j.stored = j.stored[max(0, len(j.stored)-mostFull):]
	}
}

// names are the files in the store.
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

// trim removes what was written longest ago, by the store's clock. Those that others write
// still are written again.
func (j *Journal) trim(ctx context.Context) error {
	all, err := j.names(ctx)
	if err != nil || len(all) <= mostFiles {
		return err
	}
	written := map[string]time.Time{}
	for _, name := range all {
		info, err := j.store.Stat(ctx, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		written[name] = info.Modified
	}
	slices.SortStableFunc(all, func(a, b string) int { return written[a].Compare(written[b]) })
	for _, name := range all[:len(all)-mostFiles] {
		if err := j.store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// readAtOnce is how many files are read at the same time: a store that is far away takes
// its time for each.
const readAtOnce = 16

// read is what the store has beside some files, and whether there may have been more. With
// an error it is what could be read.
func (j *Journal) read(ctx context.Context, except []*file) (all []*file, cut bool, err error) {
	names, err := j.names(ctx)
	if err != nil {
		return nil, false, err
	}
	cut = len(names) >= mostFiles
	j.mu.Lock()
	names = append(names, j.stored...)
	j.mu.Unlock()
	slices.Sort(names)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(readAtOnce)
	for _, name := range slices.Compact(names) {
		if slices.ContainsFunc(except, func(f *file) bool { return f.name == name }) {
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
	err = group.Wait()
	return all, cut, err
}

// maxFile is more than mostEntries of the longest names take.
const maxFile = 1 << 20

// readFile reads what one has. It need not be of this version: what is more is passed over.
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
		if fault := json.Unmarshal(line, &e); fault != nil || e.Count < 1 {
			err = errors.Join(err, fmt.Errorf("%s has a line that is no entry: %.100q", name, line))
			continue
		}
		f.entries = append(f.entries, e)
	}
	return f, errors.Join(err, content.Close())
}
