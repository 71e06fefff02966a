package provenance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/provenance"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// pulled is a pull of an image.
func pulled(name string) provenance.Event {
	return provenance.Event{Action: provenance.Pull, Kind: provenance.Manifest, Name: name, Reference: "latest", Origin: oci.Cached, Upstream: "docker.io"}
}

func entries(t *testing.T, j *provenance.Journal) []provenance.Entry {
	t.Helper()
	past, err := j.Past(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return past.Entries
}

// says is the names and counts of what a journal has.
func says(t *testing.T, j *provenance.Journal) string {
	t.Helper()
	var all []string
	for _, e := range entries(t, j) {
		all = append(all, fmt.Sprintf("%s %d", e.Name, e.Count))
	}
	return strings.Join(all, ", ")
}

func is(t *testing.T, j *provenance.Journal, want string) {
	t.Helper()
	if got := says(t, j); got != want {
		t.Errorf("the journal says %q, want %q", got, want)
	}
}

// timed is a test whose time is its own.
func timed(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestWhatIsAlikeIsCounted(t *testing.T) {
	timed(t, func(t *testing.T) {
		j := provenance.Open(memory.New(), quiet())
		defer j.Close()
		begin := time.Now()
		j.Note(pulled("a"))
		time.Sleep(50 * time.Second)
		j.Note(pulled("b"))
		time.Sleep(time.Second)
		j.Note(pulled("a"))
		is(t, j, "b 1, a 2")
		a := entries(t, j)[1]
		if !a.Time.Equal(begin) || !a.Last.Equal(begin.Add(51*time.Second)) {
			t.Errorf("from %v to %v", a.Time, a.Last)
		}
		time.Sleep(2 * time.Minute)
		j.Note(pulled("a"))
		is(t, j, "b 1, a 2, a 1")
	})
}

func TestJournalOutlivesItsProcess(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		first := provenance.Open(store, quiet())
		first.Note(pulled("a"))
		first.Close()
		time.Sleep(time.Second)
		killed := provenance.Open(store, quiet())
		killed.Note(pulled("b"))
		time.Sleep(3 * time.Second)
		killed.Note(pulled("lost"))
		third := provenance.Open(store, quiet())
		third.Note(pulled("c"))
		is(t, third, "a 1, b 1, c 1")
		third.Close()
		killed.Close()
	})
}

func TestReplicasAreMerged(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		one, other := provenance.Open(store, quiet()), provenance.Open(store, quiet())
		for i := range 3 {
			one.Note(pulled(fmt.Sprint("one", i)))
			time.Sleep(time.Second)
			other.Note(pulled(fmt.Sprint("other", i)))
			time.Sleep(2 * time.Second)
		}
		const want = "one0 1, other0 1, one1 1, other1 1, one2 1, other2 1"
		is(t, one, want)
		is(t, other, want)
		one.Close()
		other.Close()
	})
}

// In the store as in memory there is no more than so much, the latest, and it is said that
// there was more.
func TestJournalIsBounded(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		j := provenance.Open(store, quiet())
		defer j.Close()
		const all = 40_000
		for i := range all {
			j.Note(pulled(fmt.Sprint(i)))
			if i%250 == 249 {
				time.Sleep(time.Millisecond) // it is written
			}
			if i == 20_000 && past(t, j).Cut {
				t.Error("nothing was removed yet")
			}
		}
		got := past(t, j)
		if n := len(got.Entries); n < 24_000 || n > 26_000 || got.Entries[n-1].Name != fmt.Sprint(all-1) || !got.Cut || got.Lost > 0 {
			t.Errorf("%d entries, up to %s, cut: %v, lost: %d", n, got.Entries[n-1].Name, got.Cut, got.Lost)
		}
		if u, _ := store.Usage(t.Context()); u.Objects > 101 {
			t.Errorf("%d objects", u.Objects)
		}
	})
}

func past(t *testing.T, j *provenance.Journal) provenance.Past {
	t.Helper()
	p, err := j.Past(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// One replica that notes little keeps what it has noted last, whatever others note, and
// whatever the clock was when it began.
func TestQuietReplica(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		for i := range 100 { // written by a clock that was wrong
			name := fmt.Sprintf("_journal/20390101T000000.%09dZ-A", i)
			if err := store.Put(t.Context(), name, strings.NewReader(`{"name":"future","count":1}`), storage.Volatile); err != nil {
				t.Fatal(err)
			}
		}
		quietly, loudly := provenance.Open(store, quiet()), provenance.Open(store, quiet())
		quietly.Note(pulled("first"))
		for i := range 30_000 {
			loudly.Note(pulled(fmt.Sprint(i)))
			if i%250 == 249 {
				time.Sleep(time.Millisecond)
			}
			if i == 20_000 {
				quietly.Note(pulled("last"))
				time.Sleep(3 * time.Second)
			}
		}
		found := false
		for _, e := range entries(t, loudly) {
			found = found || e.Name == "last"
			if e.Name == "future" {
				t.Fatal("what was written first is still there")
			}
		}
		if !found {
			t.Error("what the quiet one noted last is gone")
		}
		quietly.Close()
		loudly.Close()
	})
}

// Strangers who ask for what there is not do not drive out the rest.
func TestMissesOfOneAddressAreBounded(t *testing.T) {
	timed(t, func(t *testing.T) {
		j := provenance.Open(memory.New(), quiet())
		defer j.Close()
		miss := func(name, address string) {
			j.Note(provenance.Event{Action: provenance.Pull, Kind: provenance.Manifest, Name: name, Origin: oci.Miss,
				Client: provenance.Client{Tool: name, Address: address}})
		}
		for i := range 10_000 {
			miss(fmt.Sprint(i), "192.0.2.1")
		}
		miss("another", "192.0.2.2")
		j.Note(pulled("image"))
		all := entries(t, j)
		if len(all) != 53 || all[50].Count != 9950 || all[50].Name != "(others)" || all[51].Name != "another" || all[52].Name != "image" {
			t.Errorf("%d entries: %+v", len(all), all[50:])
		}
	})
}

// An entry does not keep a request in memory that it is made of.
func TestEntryIsItsOwn(t *testing.T) {
	j := provenance.Open(memory.New(), quiet())
	defer j.Close()
	for range 200 {
		header := strings.Repeat("x", 1<<20)
		j.Note(provenance.Event{Name: header[:5], Reference: header[:6], Detail: header[:7],
			Client: provenance.Client{User: header[:8], Tool: header[:9], Address: header[:10]}})
		j.Note(pulled(header[:20]))
	}
	var m runtime.MemStats
	runtime.GC()
	if runtime.ReadMemStats(&m); m.HeapAlloc > 50<<20 {
		t.Errorf("%d MiB are kept", m.HeapAlloc>>20)
	}
}

// failing is a store that fails, or hangs, while it is told to.
type failing struct {
	storage.Driver
	mu   sync.Mutex
	err  error
	hung chan struct{}
}

func (f *failing) Put(ctx context.Context, name string, content io.Reader, d storage.Durability) error {
	f.mu.Lock()
	err, hung := f.err, f.hung
	f.mu.Unlock()
	if hung != nil {
		<-hung
	}
	if err != nil {
		return err
	}
	return f.Driver.Put(ctx, name, content, d)
}

func (f *failing) with(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func TestStoreThatFails(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := &failing{Driver: memory.New(), err: errors.New("full")}
		var log bytes.Buffer
		j := provenance.Open(store, slog.New(slog.NewTextHandler(&log, nil)))
		j.Note(pulled("a"))
		time.Sleep(10 * time.Second)
		is(t, j, "a 1")
		store.with(nil)
		time.Sleep(10 * time.Second)
		j.Close()
		again := provenance.Open(store, quiet())
		is(t, again, "a 1")
		again.Close()
		if !strings.Contains(log.String(), "error=full") {
			t.Errorf("the log is %s", &log)
		}
	})
}

// Memory is bounded though the store takes nothing, and it is said what is lost.
func TestStoreThatFailsForLong(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := &failing{Driver: memory.New(), err: errors.New("full")}
		var log bytes.Buffer
		j := provenance.Open(store, slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 20_000 {
			j.Note(pulled(fmt.Sprint(i)))
		}
		if p := past(t, j); len(p.Entries) != 8000 || p.Lost != 12_000 {
			t.Errorf("%d entries in memory, %d lost", len(p.Entries), p.Lost)
		}
		store.with(nil)
		time.Sleep(10 * time.Second)
		j.Close()
		if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "the journal is written again") {
			t.Errorf("the log is %s", got)
		}
	})
}

// Nobody waits for the store: neither who notes, nor who ends the process.
func TestStoreThatHangs(t *testing.T) {
	timed(t, func(t *testing.T) {
		hung := make(chan struct{})
		j := provenance.Open(&failing{Driver: memory.New(), hung: hung}, quiet())
		begin := time.Now()
		j.Note(pulled("a"))
		time.Sleep(10 * time.Second)
		j.Note(pulled("b"))
		j.Close()
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("closed after %v", took)
		}
		close(hung)
	})
}

// deaf is a store of which some cannot be read.
type deaf struct{ storage.Driver }

func (d deaf) Open(context.Context, string) (io.ReadSeekCloser, storage.Info, error) {
	return nil, storage.Info{}, errors.New("deaf")
}

// What this process knows is told though the store does not answer.
func TestStoreThatCannotBeRead(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		before := provenance.Open(store, quiet())
		before.Note(pulled("a"))
		before.Close()
		j := provenance.Open(deaf{store}, quiet())
		defer j.Close()
		j.Note(pulled("b"))
		past, err := j.Past(t.Context())
		if err == nil || len(past.Entries) != 1 || past.Entries[0].Name != "b" {
			t.Errorf("%+v, %v", past, err)
		}
	})
}

// What cannot be read is passed over, and said; what a later version adds is no fault.
func TestDamagedJournal(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		put := func(name, text string) {
			if err := store.Put(t.Context(), name, strings.NewReader(text), storage.Volatile); err != nil {
				t.Fatal(err)
			}
		}
		put("_journal/A", `{"name":"a","count":1,"news":{"x":1}}`)
		put("_journal/B", "")
		put("_journal/directory/file", "x")
		j := provenance.Open(store, quiet())
		defer j.Close()
		is(t, j, "a 1")
		for _, text := range []string{"\x00", `{"name":"b","co`, `{"name":"none","count":0}`, `{}`} {
			put("_journal/C", text+"\n"+`{"name":"c","count":1}`)
			if past, err := j.Past(t.Context()); err == nil || !strings.Contains(err.Error(), "_journal/C") || len(past.Entries) != 2 {
				t.Errorf("%s: %d entries, %v", text, len(past.Entries), err)
			}
		}
	})
}

// late is a store that does not list what was just stored.
type late struct{ storage.Driver }

func (late) List(context.Context, string, string) iter.Seq2[storage.Entry, error] {
	return func(func(storage.Entry, error) bool) {}
}

func TestStoreThatListsLate(t *testing.T) {
	timed(t, func(t *testing.T) {
		j := provenance.Open(late{memory.New()}, quiet())
		defer j.Close()
		for i := range 1000 {
			j.Note(pulled(fmt.Sprint(i)))
		}
		time.Sleep(3 * time.Second)
		if n := len(entries(t, j)); n != 1000 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestManyNoteAtOnce(t *testing.T) {
	j := provenance.Open(memory.New(), quiet())
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				j.Note(pulled(fmt.Sprint(i, n%300)))
			}
		})
	}
	for range 10 {
		_, _ = j.Past(t.Context())
	}
	all.Wait()
	total := 0
	for _, e := range entries(t, j) {
		total += e.Count
	}
	if total != 4000 {
		t.Errorf("%d of 4000", total)
	}
	j.Close()
}
