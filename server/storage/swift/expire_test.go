package swift_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

const marker = ".expiring/object"

// expires asserts whether an object expires.
func expires(t *testing.T, d *swift.Driver, name string, want bool) {
	t.Helper()
	if got, err := d.Expire(t.Context(), name, time.Now()); err != nil || got != want {
		t.Errorf("%s expires: %v, %v; want %v", name, got, err, want)
	}
}

// lacks asserts that objects are not there.
func lacks(t *testing.T, d *swift.Driver, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := d.Stat(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want none", name, err)
		}
	}
}

// nth has a look at the nth of the requests that are meant, from 1 on, and may answer it.
func nth(s *pretend.Swift, n int64, meant string, look func(w http.ResponseWriter, r *http.Request) bool) {
	var met atomic.Int64
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		return is(called(r), meant) && met.Add(1) == n && look(w, r)
	})
}

// touching touches the object meanwhile.
func touching(ctx context.Context, d *swift.Driver) <-chan error {
	done := make(chan error, 1)
	go func() { done <- d.Touch(ctx, "object") }()
	return done
}

// waits asserts that Touch does so, and gives it a while to go on.
func waits(t *testing.T, s *pretend.Swift, touched <-chan error) {
	t.Helper()
	for s.Asked(); count(s.Asked(), "HEAD images/"+marker) == 0; {
		select {
		case err := <-touched:
			t.Fatalf("Touch ends with %v beside a marker", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func asks(t *testing.T, s *pretend.Swift, want ...string) {
	t.Helper()
	for i := range want {
		method, name, _ := strings.Cut(want[i], " ")
		want[i] = method + " images/" + name
	}
	if asked := s.Asked(); !slices.Equal(asked, want) {
		t.Errorf("Swift was asked\n%s, want\n%s", strings.Join(asked, ", "), strings.Join(want, ", "))
	}
}

func TestRequestsOfExpire(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	for _, name := range []string{"object", "other", "young"} {
		put(t, d, name, "x")
	}
	s.Age("young", -time.Hour)
	part := link(t, d, "large", "content")[0].Name
	s.Asked()
	expires(t, d, "object", true)
	asks(t, s, "HEAD object", "PUT .expiring", "PUT "+marker, "HEAD .expiring", "HEAD object", "DELETE object", "DELETE "+marker)
	expires(t, d, "other", true)
	asks(t, s, "HEAD other", "PUT .expiring/other", "HEAD .expiring", "HEAD other", "DELETE other", "DELETE .expiring/other")
	expires(t, d, "large", true)
	asks(t, s, "HEAD large", "GET large", "PUT .expiring/large", "HEAD .expiring", "HEAD large", "DELETE large",
		"DELETE .expiring/large", "DELETE "+part)
	expires(t, d, "young", false)
	asks(t, s, "HEAD young")
	expires(t, d, "nothing", false)
	asks(t, s, "HEAD nothing", "HEAD nothing")
	lacks(t, d, "object", "other", "large", part, marker, ".expiring/other", ".expiring/large")
}

func TestRequestsOfTouch(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	s.Asked()
	if err := d.Touch(t.Context(), "object"); err != nil {
		t.Error(err)
	}
	asks(t, s, "POST object", "HEAD "+marker, "HEAD "+marker, "HEAD object")
	if err := d.Touch(t.Context(), "nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
	asks(t, s, "POST nothing", "POST nothing")
}

// What is below a large object that is made of large ones goes along.
func TestExpireOfNested(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	meet(s, "GET /info", always, tells(`{"slo": {"max_manifest_segments": 2}}`))
	d := s.Open()
	link(t, d, "object", digits(5)...)
	expires(t, d, "object", true)
	if all, err := names(t.Context(), d, ".", ""); err != nil || len(all) != 0 {
		t.Errorf("there are left %q, %v", all, err)
	}
}

// An object of which a segment stays has expired all the same.
func TestExpireLeavesASegment(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	parts := link(t, d, "object", "first,", "second")
	meet(s, "DELETE images/"+parts[0].Name, always, fails(503))
	if expired, err := d.Expire(t.Context(), "object", time.Now()); !expired || err == nil || !strings.Contains(err.Error(), parts[0].Name) {
		t.Errorf("%v, %v; want a fault of %s", expired, err, parts[0].Name)
	}
	lacks(t, d, "object", marker, parts[1].Name)
}

// A request to delete is not sent again: when it is done though its answer was lost,
// somebody may have stored the object anew.
func TestLostAnswerOfExpire(t *testing.T) {
	t.Parallel()
	for what, f := range map[string]fault{
		"lost": lost, "cut": cut, "503": fails(503), "408": fails(408), "429": fails(429),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := open(t, s, func(o *swift.Options) { unkept(o); o.Retries = 3 })
			parts := link(t, d, "object", "as it ", "was")
			meet(s, "DELETE images/object", 1, f)
			s.Asked()
			if expired, err := d.Expire(t.Context(), "object", time.Now()); expired || err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v, %v; want a fault", expired, err)
			}
			asked := s.Asked()
			if n := count(asked, "DELETE images/object"); n != 1 || count(asked, "DELETE images/") != 1 {
				t.Errorf("Swift was asked %q", asked)
			}
			for _, name := range []string{marker, parts[0].Name, parts[1].Name} {
				if _, err := d.Stat(t.Context(), name); err != nil {
					t.Errorf("%s: %v, want it to stay", name, err)
				}
			}
			touched := touching(t.Context(), d)
			if what == "lost" {
				if err := <-touched; !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Touch: %v, want fs.ErrNotExist", err)
				}
				put(t, d, "object", "as it is")
				has(t, d, "object", "as it is")
				return
			}
			waits(t, s, touched)
			expires(t, d, "object", false) // another one leaves it alone, too
			s.Age(marker, time.Minute)
			if err := <-touched; err != nil {
				t.Errorf("Touch: %v", err)
			}
			has(t, d, "object", "as it was")
		})
	}
}

// A Touch that Swift has taken finds out that it came too late.
func TestTouchBeforeALostAnswer(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, func(o *swift.Options) { unkept(o); o.Retries = 3 })
	put(t, d, "object", "x")
	var touched <-chan error
	nth(s, 1, "DELETE images/object", func(_ http.ResponseWriter, r *http.Request) bool {
		touched = touching(t.Context(), d)
		waits(t, s, touched)
		s.Forward(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	if expired, err := d.Expire(t.Context(), "object", time.Now()); expired || err == nil {
		t.Errorf("%v, %v; want a fault", expired, err)
	}
	waits(t, s, touched)
	s.Age(marker, time.Minute)
	if err := <-touched; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Touch: %v, want fs.ErrNotExist", err)
	}
}

// Who looks at the age may come before a Touch, or after it.
func TestTouchWhileItExpires(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	moment := time.Now()
	var touched <-chan error
	nth(s, 2, "HEAD images/object", func(http.ResponseWriter, *http.Request) bool {
		touched = touching(t.Context(), d)
		waits(t, s, touched)
		return false
	})
	if expired, err := d.Expire(t.Context(), "object", moment); expired || err != nil {
		t.Errorf("it expires, though it was touched before somebody looked: %v, %v", expired, err)
	}
	if err := <-touched; err != nil {
		t.Errorf("Touch: %v", err)
	}
	lacks(t, d, marker)

	nth(s, 1, "DELETE images/object", func(http.ResponseWriter, *http.Request) bool {
		touched = touching(t.Context(), d)
		waits(t, s, touched)
		return false
	})
	expires(t, d, "object", true)
	if err := <-touched; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Touch of what expires: %v, want fs.ErrNotExist", err)
	}
}

// A Touch may be so slow that the marker has gone when it looks.
func TestTouchLooksLate(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	late, touched := make(chan struct{}), make(<-chan error)
	var deletes, looks atomic.Int64
	s.Between(func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case called(r) == "DELETE images/object" && deletes.Add(1) == 1:
			touched = touching(t.Context(), d)
			for looks.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
		case called(r) == "HEAD images/"+marker:
			looks.Add(1)
			<-late
		}
		return false
	})
	expires(t, d, "object", true)
	close(late)
	if err := <-touched; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Touch: %v, want fs.ErrNotExist", err)
	}
}

// Its process may have been killed.
func TestMarkerThatIsLeft(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	put(t, d, marker, "")
	expires(t, d, "object", false)
	ctx, leave := context.WithCancel(t.Context())
	touched := touching(ctx, d)
	waits(t, s, touched)
	leave()
	if err := <-touched; !errors.Is(err, context.Canceled) {
		t.Errorf("Touch of who has gone: %v", err)
	}
	s.Age(marker, 58*time.Second)
	expires(t, d, "object", false)
	has(t, d, "object", "x")

	s.Age(marker, 2*time.Second)
	if err := d.Touch(t.Context(), "object"); err != nil {
		t.Error(err)
	}
	expires(t, d, "object", true)
	lacks(t, d, "object", marker)
}

// The age of a marker is between two times that Swift tells.
func TestMarkerByTheClockOfSwift(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	put(t, d, marker, "")
	date := func(at string) {
		meet(s, "HEAD images/"+marker, always, func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			s.Forward(answer, r)
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Date", at)
			w.WriteHeader(answer.Code)
		})
	}
	date(time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat))
	if err := d.Touch(t.Context(), "object"); err != nil {
		t.Error(err)
	}
	s.Age(marker, time.Hour)
	date(time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	expires(t, d, "object", false)
	date("soon")
	if err := d.Touch(t.Context(), "object"); err == nil {
		t.Error("Touch knows the age of a marker without a time")
	}
	if expired, err := d.Expire(t.Context(), "object", time.Now()); expired || err == nil {
		t.Errorf("Expire knows the age of a marker without a time: %v, %v", expired, err)
	}
	has(t, d, "object", "x")
}

// What was stored or deleted by somebody else, by the word of Swift, has not expired.
func TestExpireOfWhatHasGone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{404, 409} {
		s := pretend.New(t)
		d := s.Open()
		parts := link(t, d, "object", "content")
		meet(s, "DELETE images/object", 1, fails(status))
		s.Asked()
		expires(t, d, "object", false)
		if asked := s.Asked(); count(asked, "DELETE images/object") != 1 || again(s) != 0 {
			t.Errorf("%d: Swift was asked %q", status, asked)
		}
		lacks(t, d, marker)
		has(t, d, parts[0].Name, "content")
	}
}

// It does not matter much to whom a marker stays.
func TestMarkerThatStays(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", "x")
	meet(s, "DELETE images/"+marker, always, fails(503))
	s.Asked()
	expires(t, d, "object", true)
	if n := count(s.Asked(), "DELETE images/"+marker); n != 1 || !strings.Contains(s.Log(), "a marker stays") {
		t.Errorf("%d requests, and the log is %q", n, s.Log())
	}
}

// Faults before the object is deleted leave it there.
func TestExpireThatFails(t *testing.T) {
	t.Parallel()
	for meant, n := range map[string]int64{
		"HEAD images/object": 1, "GET images/object": 1, "PUT images/.expiring": 1, "PUT images/" + marker: 1, "HEAD images/.expiring": 1, "HEAD images/object ": 2,
	} {
		s := pretend.New(t)
		d := open(t, s, retries(0))
		link(t, d, "object", "content")
		nth(s, n, strings.TrimSpace(meant), func(w http.ResponseWriter, r *http.Request) bool { fails(503)(s, w, r); return true })
		if expired, err := d.Expire(t.Context(), "object", time.Now()); expired || err == nil {
			t.Errorf("%s: %v, %v; want a fault", meant, expired, err)
		}
		has(t, d, "object", "content")
	}
}

func TestMarkersAreNotListed(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	for _, name := range []string{".expired", ".expiring", marker, ".expiring-not/x", "d/.expiring/x", "e"} {
		put(t, d, name, "x")
	}
	for directory, want := range map[string][]string{
		".": {".expired", ".expiring-not/", "d/", "e"}, "d": {".expiring/"}, ".expiring": {"object"},
	} {
		if got, err := names(t.Context(), d, directory, ""); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s lists %q, %v; want %q", directory, got, err, want)
		}
	}
}
