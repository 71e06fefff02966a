package provenance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	all, err := j.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
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
		time.Sleep(9 * time.Minute)
		j.Note(pulled("b"))
		time.Sleep(time.Second)
		j.Note(pulled("a"))
		is(t, j, "b 1, a 2")
		a := entries(t, j)[1]
		if !a.Time.Equal(begin) || !a.Last.Equal(begin.Add(9*time.Minute+time.Second)) {
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

// In the store as in memory there is no more than so much, the latest.
func TestJournalIsBounded(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		j := provenance.Open(store, quiet())
		const all = 40_000
		for i := range all {
			j.Note(pulled(fmt.Sprint(i)))
			if i%1000 == 999 {
				time.Sleep(time.Millisecond) // it is written
			}
		}
		got := entries(t, j)
		if len(got) < 30_000 || len(got) > 33_000 || got[len(got)-1].Name != fmt.Sprint(all-1) {
			t.Errorf("%d entries, up to %s", len(got), got[len(got)-1].Name)
		}
		j.Close()
		if u, _ := store.Usage(t.Context()); u.Objects > 33 {
			t.Errorf("%d objects", u.Objects)
		}
	})
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
		if n := len(entries(t, j)); n > 9000 || n < 8000 {
			t.Errorf("%d entries in memory", n)
		}
		store.with(nil)
		time.Sleep(10 * time.Second)
		if !strings.Contains(log.String(), "entries=12000") {
			t.Errorf("the log is %s", &log)
		}
		j.Close()
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

// What cannot be read is passed over, and so is what a later version adds.
func TestDamagedJournal(t *testing.T) {
	timed(t, func(t *testing.T) {
		store := memory.New()
		for name, text := range map[string]string{
			"_journal/20200101T000000.000000000Z-A": `{"name":"a","count":1,"news":{"x":1}}` + "\n" + `{"name":"b","co`,
			"_journal/20200101T000000.000000000Z-B": "\x00",
			"_journal/20200101T000000.000000000Z-C": "",
			"_journal/directory/file":               "x",
		} {
			if err := store.Put(t.Context(), name, strings.NewReader(text), storage.Volatile); err != nil {
				t.Fatal(err)
			}
		}
		j := provenance.Open(store, quiet())
		defer j.Close()
		is(t, j, "a 1")
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
		_, _ = j.Entries(t.Context())
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
