package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

func expire(t *testing.T, s store) {
	const name = "a/b/c/object"
	s.concat(name, s.append(s.append(nil, "first,"), "second"))
	moment := s.past(name)
	s.expire(name, moment.Add(-time.Millisecond), false)
	s.has(name, "first,second")
	s.expire(name, moment, true)
	s.lacks(name)
	if got := s.objects("."); got != nil {
		t.Errorf("the store lists %q after the object expired: want nothing", got)
	}
	s.put(name, "new")
	s.expire(name, moment, false)
	s.has(name, "new")
}

func expireNothing(t *testing.T, s store) {
	s.put("a/b/c", "x")
	for _, name := range []string{"nothing", "a", "a/b", "a/b/d", "d/e/f"} {
		s.expire(name, time.Now().Add(time.Hour), false)
	}
	if got, want := s.objects("."), []string{"a/b/c"}; !slices.Equal(got, want) {
		t.Errorf("the store lists %q, want %q", got, want)
	}
	s.has("a/b/c", "x")
}

func expireYoung(t *testing.T, s store) {
	for name, do := range stores {
		s.put(name, "content")
		parts := s.append(nil, "content")
		moment := s.past(name)
		s.touch(name)
		s.expire(name, moment, false)
		s.has(name, "content")

		moment = s.past(name) // after which the parts are not stored again
		if err := do(s, name, parts); err != nil {
			t.Fatal(err)
		}
		if got := s.modified(name); !got.After(moment) {
			t.Errorf("%s: modified %v, want after %v", name, got, moment)
		}
		s.expire(name, moment, false)
		s.has(name, "content")
		s.delete(name)
	}
}

// stores are the ways to store "content", of which a caller has made parts.
var stores = map[string]func(s store, name string, parts []storage.Part) error{
	"put": func(s store, name string, _ []storage.Part) error {
		return s.Put(context.Background(), name, strings.NewReader("content"), storage.Durable)
	},
	"concatenated": func(s store, name string, parts []storage.Part) error {
		return s.Concat(context.Background(), name, parts)
	},
}

// A race has some rounds, with some racers of each kind, and is begun again for a while:
// in a fast store they meet rarely.
const (
	rounds = 20
	racers = 4
	while  = 100 * time.Millisecond
)

func expireBesideTouch(t *testing.T, s store) {
	for begun := time.Now(); time.Since(begun) < while; {
		raceTouch(t, s)
	}
}

func raceTouch(t *testing.T, s store) {
	moment := s.old("a/b/c")
	for i := range rounds {
		name := fmt.Sprintf("a/b/c/%d", i)
		var touched, missed, expired atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range racers {
			all.Go(func() {
				<-begin
				switch err := s.Touch(context.Background(), name); {
				case err == nil:
					touched.Add(1)
				case errors.Is(err, fs.ErrNotExist):
					missed.Add(1)
				default:
					t.Errorf("Touch: %v", err)
				}
			})
			all.Go(func() {
				<-begin
				done, err := s.Expire(context.Background(), name, moment)
				if err != nil {
					t.Errorf("Expire: %v", err)
				}
				if done {
					expired.Add(1)
				}
			})
		}
		close(begin)
		all.Wait()
		_, err := s.Stat(context.Background(), name)
		stays := err == nil && touched.Load() == racers && expired.Load() == 0
		goes := errors.Is(err, fs.ErrNotExist) && missed.Load() == racers && expired.Load() == 1
		if !stays && !goes {
			t.Errorf("%d of %d touched it, %d did not find it, %d removed it; then: %v",
				touched.Load(), racers, missed.Load(), expired.Load(), err)
		}
	}
}

func expireBesideStore(t *testing.T, s store) {
	for kind, do := range stores {
		for begun := time.Now(); time.Since(begun) < while; {
			raceStore(t, s, kind, do)
		}
	}
}

func raceStore(t *testing.T, s store, kind string, do func(s store, name string, parts []storage.Part) error) {
	var parts [rounds][]storage.Part
	for i := range parts {
		parts[i] = s.append(s.append(nil, "con"), "tent")
	}
	moment := s.old("a/b/c")
	for i := range rounds {
		name := fmt.Sprintf("a/b/c/%d", i)
		begin, stored := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		for range racers {
			all.Go(func() {
				<-begin
				for going := true; going; {
					select {
					case <-stored:
						going = false // after this time
					default:
					}
					if _, err := s.Expire(context.Background(), name, moment); err != nil {
						t.Errorf("Expire: %v", err)
					}
				}
			})
		}
		all.Go(func() {
			defer close(stored)
			<-begin
			if err := s.Touch(context.Background(), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Touch: %v", err)
			}
			if err := do(s, name, parts[i]); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
		close(begin)
		all.Wait()
		s.has(name, "content")
	}
}

func partsBelong(t *testing.T, s store) {
	ctx := context.Background()
	s.put("a/plain", "x")
	for _, name := range []string{"nothing", "a", "a/plain"} {
		if got := s.parts(name); len(got) != 0 {
			t.Errorf("the parts of %s are %q: want none", name, got)
		}
	}
	free := map[string]func(name string){
		"deleted": s.delete,
		"expired": func(name string) { s.expire(name, s.past(name), true) },
	}
	for name, free := range free {
		all := s.append(s.append(s.append(nil, "first,"), "second,"), "third")
		s.concat(name, all)
		s.has(name, "first,second,third")
		names, size := s.parts(name), int64(0)
		for i, part := range names {
			if len(names) != len(all) || part != all[i].Name {
				t.Fatalf("the parts are %q, made of %v", names, all)
			}
			info, err := s.Stat(ctx, part)
			if err != nil {
				t.Errorf("Stat %s: %v", part, err)
			}
			size += info.Size
		}
		if len(names) > 0 && size != storage.Size(all) {
			t.Errorf("the parts have %d bytes, want %d", size, storage.Size(all))
		}
		free(name)
		for _, part := range append(names, name) {
			s.lacks(part)
		}
		if got := s.parts(name); len(got) != 0 {
			t.Errorf("the parts of what was %s are %q: want none", name, got)
		}
	}
}

func rename(t *testing.T, s store) {
	ctx := context.Background()
	const from, to = "a/b/c/old", "d/e/f/new"
	s.put("a/b/plain", "x")
	s.concat(from, s.append(s.append(nil, "first,"), "second"))
	parts, moment := s.parts(from), s.past(from)
	for _, pair := range [][2]string{{from, to}, {"a/b/plain", "plain"}} {
		if err := s.Rename(ctx, pair[0], pair[1]); err != nil {
			t.Fatalf("Rename: %v", err)
		}
		s.lacks(pair[0])
	}
	s.has("plain", "x")
	s.has(to, "first,second")
	if got := s.parts(to); !slices.Equal(got, parts) {
		t.Errorf("the parts are %q, want %q", got, parts)
	}
	for _, part := range parts {
		if _, err := s.Stat(ctx, part); err != nil {
			t.Errorf("Stat %s: %v", part, err)
		}
	}
	if got := s.modified(to); got.Before(moment) {
		t.Errorf("modified %v, want not before %v", got, moment)
	}
	s.delete(from) // nothing
	s.has(to, "first,second")
	s.delete(to)
	s.delete("plain")
	if got := s.objects("."); got != nil {
		t.Errorf("the store lists %q after the objects were deleted: want nothing", got)
	}
}

func renameNothing(t *testing.T, s store) {
	s.put("a/b/c", "x")
	for _, name := range []string{"nothing", "a", "a/b", "a/b/d"} {
		if err := s.Rename(context.Background(), name, "new"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Rename %s: %v, want fs.ErrNotExist", name, err)
		}
	}
	s.has("a/b/c", "x")
	if got, want := s.objects("."), []string{"a/b/c"}; !slices.Equal(got, want) {
		t.Errorf("the store lists %q, want %q", got, want)
	}
}

// old makes objects, one for each round, that are not stored after a moment.
func (s store) old(directory string) (moment time.Time) {
	s.Helper()
	for i := range rounds {
		name := fmt.Sprintf("%s/%d", directory, i)
		s.concat(name, s.append(s.append(nil, "as it"), " was"))
		if modified := s.modified(name); modified.After(moment) {
			moment = modified
		}
	}
	s.await(moment)
	return moment
}

// past is when an object was stored, once whatever is stored is younger.
func (s store) past(name string) time.Time {
	s.Helper()
	moment := s.modified(name)
	s.await(moment)
	return moment
}

// await waits until what is stored is younger than a moment, by the clock of the store.
func (s store) await(moment time.Time) {
	s.Helper()
	for younger := false; !younger; younger = s.modified("probe").After(moment) {
		s.put("probe", "x")
	}
	s.delete("probe")
}

func (s store) modified(name string) time.Time {
	s.Helper()
	info, err := s.Stat(context.Background(), name)
	if err != nil {
		s.Fatalf("Stat %s: %v", name, err)
	}
	return info.Modified
}

func (s store) touch(name string) {
	s.Helper()
	if err := s.Touch(context.Background(), name); err != nil {
		s.Fatalf("Touch %s: %v", name, err)
	}
}

// expire asserts whether an object expires.
func (s store) expire(name string, moment time.Time, want bool) {
	s.Helper()
	if got, err := s.Expire(context.Background(), name, moment); err != nil || got != want {
		s.Fatalf("Expire %s: %v, %v; want %v", name, got, err, want)
	}
}

func (s store) parts(name string) []string {
	s.Helper()
	names, err := s.Parts(context.Background(), name)
	if err != nil {
		s.Fatalf("Parts of %s: %v", name, err)
	}
	return names
}
