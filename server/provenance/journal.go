package provenance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"path"
	"slices"
	"strings"
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
	full    []*file  // those that the store has not taken yet
	stored  []string // the latest that it has: a list of Swift's may not have them yet
	lost    int      // entries that it has not taken for too long

	wake    chan struct{}
	cancel  func()        // ends run
	stopped chan struct{} // closed when it has ended
}

const (
	// directory of the journal in the store. No area is called so.
	directory = "_journal"
	// mostEntries of a file, some 400 bytes each.
	mostEntries = 250
	// mostFiles that stay in the store, of all processes together.
	mostFiles = 100
	// mostFull is how many files wait for a store that takes none.
	mostFull = 32
	// mostWanting is how many things that one address did not get are told apart in a file:
	// strangers must not drive out the rest by asking for what there is not.
	mostWanting = 50
	// alike is how long events that are alike are counted, and not written anew.
	alike = time.Minute
	// pause between two looks whether there is something to write. What a process has
	// noted in that time is lost if it is killed.
	pause = 2 * time.Second
	// longestPause is between two attempts at a store that takes nothing.
	longestPause = time.Minute
)

// file is what one process has noted up to mostEntries. It is replaced in the store as it
// grows.
type file struct {
	name    string // in the store
	entries []Entry
	index   map[Event]int  // of the last entry of each event
	wanting map[string]int // by address
	written int            // entries and counts that the store has, as changes counts
	changes int
}

// newFile makes one whose name comes after those that were begun before.
func newFile(now time.Time) *file {
	return &file{
		name:    path.Join(directory, now.UTC().Format("20060102T150405.000000000Z")+"-"+rand.Text()[:8]),
		index:   map[Event]int{},
		wanting: map[string]int{},
	}
}

// Open makes a journal that is kept in a store. The caller calls Close before the store is
// closed.
func Open(store storage.Driver, log *slog.Logger) *Journal {
	ctx, cancel := context.WithCancel(context.Background())
	j := &Journal{
		store: store, log: log, current: newFile(time.Now()),
		wake: make(chan struct{}, 1), cancel: cancel, stopped: make(chan struct{}),
	}
	go j.run(ctx)
	return j
}

// Note adds an event. It does not wait.
func (j *Journal) Note(e Event) {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current.add(e, now); len(j.current.entries) >= mostEntries {
		j.rotate(now)
	}
}

// add adds an event.
func (f *file) add(e Event, now time.Time) {
	f.changes++
	if f.count(e, now) {
		return
	}
	if e.Origin.Wanting() {
		if f.wanting[e.Address]++; f.wanting[e.Address] > mostWanting {
			e = Event{Action: e.Action, Kind: e.Kind, Name: others, Origin: e.Origin, Client: Client{Address: e.Address}}
			if f.count(e, now) {
				return
			}
		}
	}
	e = e.clone()
	f.index[e] = len(f.entries)
	f.entries = append(f.entries, Entry{Time: now, Last: now, Count: 1, Event: e})
}

// others is the name of all that one address did not get beyond mostWanting.
const others = "(others)"

// count counts an event if there just was one that is alike.
func (f *file) count(e Event, now time.Time) bool {
	i, ok := f.index[e]
	if !ok || now.Sub(f.entries[i].Time) >= alike {
		return false
	}
	f.entries[i].Last = now
	f.entries[i].Count++
	return true
}

// clone has nothing in common with the request: a part of a text keeps all of it.
func (e Event) clone() Event {
	for _, text := range []*string{&e.Name, &e.Reference, &e.Upstream, &e.Detail, &e.User, &e.Tool, &e.Address} {
		*text = strings.Clone(*text)
	}
	e.Digest = e.Digest.Clone()
	return e
}

// rotate begins a new file. The caller has the lock.
func (j *Journal) rotate(now time.Time) {
	j.current.index, j.current.wanting = nil, nil
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

// run writes what was noted until ctx is done. A store that takes nothing is asked less and
// less often.
func (j *Journal) run(ctx context.Context) {
	defer close(j.stopped)
	wait, wake := pause, j.wake
	for {
		select {
		case <-time.After(wait):
		case <-wake:
		case <-ctx.Done():
			return
		}
		err := j.write(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && wait > pause:
			j.log.Info("the journal is written again")
		case err != nil && wait == pause:
			j.log.Warn("the journal cannot be written now, and is kept in memory", "error", err)
		}
		if err != nil {
			wait, wake = min(2*wait, longestPause), nil
		} else {
			wait, wake = pause, j.wake
		}
	}
}

// lastWrite is how long Close waits for the store.
const lastWrite = 500 * time.Millisecond

// Close writes what is left. Nothing may be noted any more. A store that hangs, whatever
// is asked of it, is left hanging.
func (j *Journal) Close() {
	j.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), lastWrite)
	defer cancel()
	written := make(chan struct{})
	go func() {
		defer close(written)
		<-j.stopped
		if err := j.write(ctx); err != nil {
			j.log.Warn("the last of the journal is lost", "error", err)
		}
	}()
	select {
	case <-written:
	case <-ctx.Done():
		j.log.Warn("the last of the journal is lost: the store does not take it")
	}
}

// Past is what a journal has.
type Past struct {
	Entries []Entry // by the time of the last event
	// Cut: there may have been more, before the first entry, which was removed.
	Cut bool
	// Lost is how many entries this process could not keep.
	Lost int
}

// Past is what the store has and this process knows. With an error it is the part that
// could be had.
func (j *Journal) Past(ctx context.Context) (Past, error) {
	mine := j.pending()
	kept, cut, err := j.read(ctx, mine)
	p := Past{Cut: cut}
	for _, f := range slices.Concat(kept, mine) {
		p.Entries = append(p.Entries, f.entries...)
	}
	slices.SortStableFunc(p.Entries, func(a, b Entry) int { return a.Last.Compare(b.Last) })
	p.Lost = j.losses()
	return p, err
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
