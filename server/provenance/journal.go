package provenance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"path"
	"slices"
	"sync"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Journal keeps events, in memory at first: who notes one never waits for the store. Each
// process writes files of its own, in one directory, so that what several have noted is
// merged by whoever reads. Open makes it.
type Journal struct {
	store storage.Driver
	log   *slog.Logger

	mu      sync.Mutex
	current *file
	full    []*file // those that the store has not taken yet
	lost    int     // entries that it has not taken for too long

	wake, stop, stopped chan struct{}
}

const (
	// directory of the journal in the store. No area is called so.
	directory = "_journal"
	// mostEntries of a file, some 400 bytes each.
	mostEntries = 1000
	// mostFiles that stay in the store, of all processes together.
	mostFiles = 32
	// mostFull is how many files wait for a store that takes none.
	mostFull = 8
	// alike is how long events that are alike are counted, and not written anew.
	alike = 10 * time.Minute
	// pause between two looks whether there is something to write. What a process has
	// noted in that time is lost if it is killed.
	pause = 2 * time.Second
)

// file is what one process has noted up to mostEntries. It is replaced in the store as it
// grows.
type file struct {
	name    string // in the store
	entries []Entry
	index   map[Event]int // of the last entry of each event
	written int           // entries and counts that the store has, as changes counts
	changes int
}

// newFile makes one whose name comes after those that were begun before.
func newFile(now time.Time) *file {
	return &file{
		name:  path.Join(directory, now.UTC().Format("20060102T150405.000000000Z")+"-"+rand.Text()[:8]),
		index: map[Event]int{},
	}
}

// Open makes a journal that is kept in a store. The caller calls Close before the store is
// closed.
func Open(store storage.Driver, log *slog.Logger) *Journal {
	j := &Journal{
		store: store, log: log, current: newFile(time.Now()),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go j.run()
	return j
}

// Note adds an event. It does not wait.
func (j *Journal) Note(e Event) {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.current
	f.changes++
	if i, ok := f.index[e]; ok && now.Sub(f.entries[i].Time) < alike {
		f.entries[i].Last = now
		f.entries[i].Count++
		return
	}
	f.index[e] = len(f.entries)
	f.entries = append(f.entries, Entry{Time: now, Last: now, Count: 1, Event: e})
	if len(f.entries) >= mostEntries {
		j.turn(now)
	}
}

// turn begins a new file.
func (j *Journal) turn(now time.Time) {
	j.current.index = nil
	j.full = append(j.full, j.current)
	j.current = newFile(now)
	if len(j.full) > mostFull {
		j.lost += len(j.full[0].entries)
		j.full = slices.Delete(j.full, 0, 1)
	}
	select {
	case j.wake <- struct{}{}:
	default: // it is about to look
	}
}

// run writes what was noted until Close.
func (j *Journal) run() {
	defer close(j.stopped)
	ticks := time.NewTicker(pause)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-j.wake:
		case <-j.stop:
			return
		}
		j.write(context.Background())
	}
}

// lastWrite is how long Close waits for the store.
const lastWrite = 500 * time.Millisecond

// Close writes what is left. Nothing may be noted any more.
func (j *Journal) Close() {
	close(j.stop)
	ctx, cancel := context.WithTimeout(context.Background(), lastWrite)
	defer cancel()
	select {
	case <-j.stopped:
		j.write(ctx)
	case <-ctx.Done():
		j.log.Warn("the last of the journal is lost: the store does not take it")
	}
}

// Entries are those of the store and of this process, by the time of the last event.
func (j *Journal) Entries(ctx context.Context) ([]Entry, error) {
	mine := j.pending()
	kept, err := j.read(ctx, mine)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, f := range slices.Concat(kept, mine) {
		all = append(all, f.entries...)
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return a.Last.Compare(b.Last) })
	return all, nil
}

// pending are copies of the files that the store may not have as they are.
func (j *Journal) pending() []*file {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []*file
	for _, f := range append(slices.Clip(j.full), j.current) {
		all = append(all, &file{name: f.name, entries: slices.Clone(f.entries), written: f.written, changes: f.changes})
	}
	return all
}

// text is a file as it is stored: an entry a line.
func (f *file) text() ([]byte, error) {
	var text []byte
	for _, e := range f.entries {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		text = append(append(text, line...), '\n')
	}
	return text, nil
}
