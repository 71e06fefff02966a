package swift_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/peer"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// together has requests that are meant go on when there are n.
func together(n int, meant string) func(r *http.Request) {
	var all sync.WaitGroup
	all.Add(n)
	var met atomic.Int64
	return func(r *http.Request) {
		if is(called(r), meant) && met.Add(1) <= int64(n) {
			all.Done()
			all.Wait()
		}
	}
}

// both have two processes expire the object, and say who has done so, and who has tried:
// by the word of Swift, one of two has.
func both(t *testing.T, s *pretend.Swift, one, two *swift.Driver) (expired int64, deletes int) {
	t.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	s.Asked()
	for _, d := range []*swift.Driver{one, two} {
		all.Go(func() {
			done, err := d.Expire(t.Context(), "object", time.Now())
			if err != nil {
				t.Errorf("Expire: %v", err)
			}
			if done {
				n.Add(1)
			}
		})
	}
	all.Wait()
	return n.Load(), count(s.Asked(), "DELETE images/object")
}

// Swift looks whether there is a marker, and then stores one: two may come through.
func TestTwoMarkersAtOnce(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	one, two := s.Open(), s.Open()
	put(t, one, "object", "x")
	wait, first := together(2, "PUT images/"+marker), together(2, "HEAD images/.expiring")
	s.Between(func(_ http.ResponseWriter, r *http.Request) bool {
		if wait(r); is(called(r), "PUT images/"+marker) {
			r.Header.Del("If-None-Match")
		}
		first(r)
		return false
	})
	if expired, deletes := both(t, s, one, two); expired != 1 || deletes != 1 {
		t.Errorf("%d have removed it, and %d tried, want that it is one's turn", expired, deletes)
	}
}

// A marker that is left may be taken over by two.
func TestTwoTakeAMarkerOver(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	one, two := s.Open(), s.Open()
	put(t, one, "object", "x")
	put(t, one, marker, "")
	s.Age(marker, time.Minute)
	look := together(2, "HEAD images/"+marker)
	s.Between(func(_ http.ResponseWriter, r *http.Request) bool { look(r); return false })
	if expired, deletes := both(t, s, one, two); expired > 1 || deletes > 1 {
		t.Errorf("%d have removed it, and %d tried", expired, deletes)
	}
}

// One process does one thing at a time with an object.
func TestTwoExpireInOneProcess(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	s.Between(func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("If-None-Match")
		return false
	})
	look := together(2, "HEAD images/object")
	s.Between(func(_ http.ResponseWriter, r *http.Request) bool {
		if look(r); is(called(r), "HEAD images/.expiring") {
			time.Sleep(100 * time.Millisecond) // in which another one would come as far
		}
		r.Header.Del("If-None-Match")
		return false
	})
	if expired, deletes := both(t, s, d, d); expired != 1 || deletes != 1 {
		t.Errorf("%d have removed it, and %d tried, want 1", expired, deletes)
	}
}

// Two processes that expire one object, one that makes it young, and one that stores it
// when it is not there, in any order that comes about. As in Swift, a marker is looked
// for first and then stored.
func TestExpireTouchAndStore(t *testing.T) {
	t.Parallel()
	for i := range 100 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			one, two, three := s.Open(), s.Open(), s.Open()
			link(t, one, "object", "as it ", "was")
			parts := store(t, three, "as it ", "is")
			moment := time.Now()
			s.Between(func(w http.ResponseWriter, r *http.Request) bool {
				pause := func() { time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond) }
				pause()
				if r.Header.Get("If-None-Match") != "*" {
					return false
				}
				look := r.Clone(r.Context())
				look.Method, look.Body = http.MethodHead, http.NoBody
				answer := httptest.NewRecorder()
				if s.Forward(answer, look); answer.Code == http.StatusOK {
					fails(412)(s, w, r)
					return true
				}
				pause()
				r.Header.Del("If-None-Match")
				return false
			})
			s.Asked()
			var expired atomic.Int64
			var all sync.WaitGroup
			for _, d := range []*swift.Driver{one, two} {
				all.Go(func() {
					done, err := d.Expire(t.Context(), "object", moment)
					if err != nil {
						t.Errorf("Expire: %v", err)
					}
					if done {
						expired.Add(1)
					}
				})
			}
			touched := make(chan error, 1)
			all.Go(func() {
				err := three.Touch(t.Context(), "object")
				if errors.Is(err, fs.ErrNotExist) && i%2 == 0 {
					err = errors.Join(three.Concat(t.Context(), "object", parts), err)
				}
				touched <- err
			})
			go func() { // who has lost his turn leaves a marker
				for range 100 {
					time.Sleep(10 * time.Millisecond)
					if len(touched) == 0 {
						continue
					}
					return
				}
				s.Age(marker, time.Minute)
			}()
			all.Wait()
			err := <-touched
			missed := errors.Is(err, fs.ErrNotExist)
			if err != nil && !missed {
				t.Fatalf("Touch: %v", err)
			}
			deletes := count(s.Asked(), "DELETE images/object")
			if expired.Load() != int64(deletes) || (deletes == 1) != missed {
				t.Errorf("%d have removed it, %d tried, and Touch: %v", expired.Load(), deletes, err)
			}
			switch {
			case !missed:
				has(t, one, "object", "as it was")
			case i%2 == 0:
				has(t, one, "object", "as it is")
			default:
				lacks(t, one, "object")
			}
		})
	}
}

// bare is a Swift that keeps objects, without a network, for tests in a time of their
// own. It has the time of everything that is stored, and answers as late as it is told.
type bare struct {
	there
	objects map[string]string
	stored  map[string]time.Time
	calls   []string
	before  func(call string) int // may take its time, and answer
}

func newBare() *bare {
	b := &bare{objects: map[string]string{"object": "x"}, stored: map[string]time.Time{"object": time.Now().Add(-time.Hour)}}
	b.there.answer = b.answer
	b.before = func(string) int { return 0 }
	return b
}

func (b *bare) answer(r *http.Request) (*http.Response, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/AUTH_a/images/")
	call := r.Method + " " + name
	b.calls = append(b.calls, call)
	says := func(status int, body string, headers ...string) *http.Response {
		return says(status, body, append(headers, "X-Trans-Id", "tx", "Date", time.Now().UTC().Format(http.TimeFormat))...)
	}
	if status := b.before(call); status != 0 {
		return says(status, ""), nil
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	content, there := b.objects[name]
	switch {
	case r.Method == http.MethodPut && there && r.Header.Get("If-None-Match") == "*":
		return says(412, ""), nil
	case r.Method == http.MethodPut:
		var all []byte
		if r.Body != nil {
			var err error
			if all, err = io.ReadAll(r.Body); err != nil {
				return nil, err
			}
		}
		b.objects[name], b.stored[name] = string(all), time.Now()
		return says(201, ""), nil
	case !there:
		return says(404, ""), nil
	case r.Method == http.MethodDelete:
		delete(b.objects, name)
		return says(204, ""), nil
	case r.Method == http.MethodPost:
		b.stored[name] = time.Now()
		return says(202, ""), nil
	}
	at := b.stored[name]
	return says(200, content, "Etag", etag(content), "X-Timestamp", fmt.Sprintf("%d.%05d", at.Unix(), at.Nanosecond()/10_000)), nil
}

// Whoever expires an object gives up before its marker means nothing any more.
func TestExpireGivesUpInTime(t *testing.T) {
	t.Parallel()
	for slow, want := range map[time.Duration]bool{14 * time.Second: true, 16 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			s := newBare()
			d := s.open(t, retries(3))
			heads := 0
			s.before = func(call string) int {
				if call == "HEAD object" {
					heads++
				}
				if call == "PUT "+marker || call == "HEAD object" && heads == 2 {
					time.Sleep(slow)
				}
				return 0
			}
			expired, err := d.Expire(t.Context(), "object", time.Now())
			if expired != want || (err == nil) != want || err != nil && !errors.Is(err, peer.ErrSilent) {
				t.Errorf("with two requests that take %v: %v, %v", slow, expired, err)
			}
			if n := count(s.calls, "DELETE object"); (n == 1) != want {
				t.Errorf("it asks %q", s.calls)
			}
		})
	}
}

// It is the turn of who was the last to say so. The other one leaves it to him for a
// minute, and so does not hinder him.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBare()
		one, two := s.open(t, retries(0)), s.open(t, retries(0))
		expire := func(d *swift.Driver, want bool, calls ...string) {
			t.Helper()
			s.objects["object"], s.calls = "x", nil
			s.stored["object"] = time.Now().Add(-time.Hour)
			expires(t, d, "object", want)
			if got := strings.Join(s.calls, ", "); got != strings.Join(calls, ", ") {
				t.Errorf("Swift was asked %s", got)
			}
		}
		begin := []string{"HEAD object", "PUT .expiring"}
		all := []string{"PUT " + marker, "HEAD .expiring", "HEAD object", "DELETE object", "DELETE " + marker}
		expire(one, true, append(begin, all...)...)
		word := s.objects[".expiring"]
		expire(one, true, append(begin[:1:1], all...)...)
		time.Sleep(9 * time.Second)
		expire(one, true, append(begin[:1:1], all...)...)
		time.Sleep(9 * time.Second)
		expire(one, true, append(begin[:1:1], all...)...)
		time.Sleep(10 * time.Second) // in which others may have come
		expire(one, true, append(begin, all...)...)
		if s.objects[".expiring"] == word {
			t.Error("a word is said twice")
		}
		expire(two, true, append(begin, all...)...)
		expire(one, false, append(begin[:1:1], all[:2]...)...)
		if _, ok := s.objects[marker]; !ok {
			t.Error("the marker has gone, which may be of who has the turn")
		}
		delete(s.objects, marker)
		time.Sleep(59 * time.Second)
		expire(one, false, begin[:1]...)
		time.Sleep(time.Second)
		expire(one, true, append(begin, all...)...)
		expire(two, true, append(begin, all...)...) // it was long ago
	})
}

// Where nobody's word is, somebody has removed it, and maybe somebody else's.
func TestTurnOfNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBare()
		s.before = func(call string) int {
			if call == "HEAD .expiring" {
				return 404
			}
			return 0
		}
		expires(t, s.open(t, retries(0)), "object", false)
		if n := count(s.calls, "DELETE object"); n != 0 {
			t.Errorf("Swift was asked %q", s.calls)
		}
	})
}

// What was sent may be done later: it must not say then that it is one's turn.
func TestAWordIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBare()
		d := s.open(t, retries(3))
		s.before = func(call string) int {
			if call == "PUT .expiring" {
				return 503
			}
			return 0
		}
		if expired, err := d.Expire(t.Context(), "object", time.Now()); expired || err == nil {
			t.Errorf("%v, %v; want a fault", expired, err)
		}
		if n := count(s.calls, "PUT .expiring"); n != 1 || count(s.calls, "PUT "+marker) != 0 {
			t.Errorf("Swift was asked %q", s.calls)
		}
		s.before = func(string) int { return 0 }
		expires(t, d, "object", true)
	})
}
