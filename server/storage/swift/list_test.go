package swift_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// queries are those of the lists that are asked for.
func queries(s *pretend.Swift) func() []url.Values {
	var mu sync.Mutex
	var all []url.Values
	note(s, "GET images", func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r.URL.Query())
	})
	return func() []url.Values {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// paged opens a driver of a Swift with so short pages.
func paged(t *testing.T, s *pretend.Swift, page int) *swift.Driver {
	t.Helper()
	meet(s, "GET /info", always, tells(fmt.Sprintf(`{"slo": {}, "swift": {"container_listing_limit": %d}}`, page)))
	return s.Open()
}

func TestListGoesFromPageToPage(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := paged(t, s, 2)
	for _, name := range []string{"d/a", "d/b/x", "d/b/y", "d/b/z", "d/b0", "d/c", "e"} {
		put(t, d, name, "")
	}
	for _, tt := range []struct {
		after   string
		want    []string
		markers []string
	}{
		{"", []string{"a", "b/", "b0", "c"}, []string{"", "d/b/", "d/c"}},
		{"a", []string{"b/", "b0", "c"}, []string{"d/a", "d/b0"}},
		{"b", []string{"b/", "b0", "c"}, []string{"d/b", "d/b0"}},
		{"b/", []string{"b0", "c"}, []string{"d/b/", "d/c"}},
		{"c", nil, []string{"d/c"}},
	} {
		asked := queries(s)
		got, err := names(t.Context(), d, "d", tt.after)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("after %q: %q, %v; want %q", tt.after, got, err, tt.want)
		}
		var markers []string
		for _, q := range asked() {
			markers = append(markers, q.Get("marker"))
			if q.Get("limit") != "2" || q.Get("prefix") != "d/" || q.Get("delimiter") != "/" || q.Get("format") != "json" {
				t.Errorf("Swift was asked for %v", q)
			}
		}
		if !slices.Equal(markers, tt.markers) {
			t.Errorf("after %q: Swift was asked for what is after %q, want %q", tt.after, markers, tt.markers)
		}
	}
	if got, err := names(t.Context(), d, ".", ""); err != nil || !slices.Equal(got, []string{"d/", "e"}) {
		t.Errorf("the container has %q, %v", got, err)
	}
}

// Many want but a few: the first page is small, and those after it are as large as may
// be.
func TestFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := paged(t, s, 150)
	var want []string
	for i := range 260 {
		name := fmt.Sprintf("%03d", i)
		put(t, d, "d/"+name, "")
		want = append(want, name)
	}
	asked := queries(s)
	if got, err := names(t.Context(), d, "d", ""); err != nil || !slices.Equal(got, want) {
		t.Errorf("%d names, %v; want %d", len(got), err, len(want))
	}
	var limits []string
	for _, q := range asked() {
		limits = append(limits, q.Get("limit"))
	}
	if !slices.Equal(limits, []string{"100", "150", "150"}) {
		t.Errorf("pages of %q were asked for", limits)
	}
}

// Who has enough does not wait for another page.
func TestListStopsWithItsReader(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := paged(t, s, 2)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		put(t, d, name, "")
	}
	for _, tt := range []struct{ read, pages int }{{1, 1}, {2, 1}, {3, 2}} {
		asked := queries(s)
		n := 0
		for _, err := range d.List(t.Context(), ".", "") {
			if err != nil {
				t.Error(err)
			}
			if n++; n == tt.read {
				break
			}
		}
		if got := len(asked()); got != tt.pages {
			t.Errorf("to read %d names, %d pages were asked for, want %d", tt.read, got, tt.pages)
		}
	}
	if asked := queries(s); d.List(t.Context(), ".", "") == nil || len(asked()) != 0 {
		t.Error("a list that nobody reads was asked for")
	}
}

// Some programs put an object for the directory itself.
func TestListLeavesOutTheDirectoryItself(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := paged(t, s, 2)
	for _, name := range []string{"d/a", "d/b", "d/c"} {
		put(t, d, name, "")
	}
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if called(r) != "GET images" || r.URL.Query().Get("marker") != "" {
			return false
		}
		tells(`[{"name": "d/"}, {"name": "d/a"}]`)(s, w, r)
		return true
	})
	if got, err := names(t.Context(), d, "d", ""); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "d/object", "")
	put(t, d, "d/directory/object", "")
	var got []storage.Entry
	for e, err := range d.List(t.Context(), "d", "") {
		if err != nil {
			t.Error(err)
		}
		got = append(got, e)
	}
	if want := []storage.Entry{{Name: "directory", Directory: true}, {Name: "object"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// breaksOff sends some of what was asked for, as if it were all.
func breaksOff(_ *pretend.Swift, w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `[{"name": "d/a"}, {"na`)
}

func TestListThatBreaksOffIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{
		"ended": breaksOff,
		"cut": func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			breaksOff(s, w, r)
			_ = http.NewResponseController(w).Flush()
			cut(s, w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := open(t, s, retries(1))
			put(t, d, "d/a", "")
			put(t, d, "d/b", "")
			meet(s, "GET images", 1, f)
			if got, err := names(t.Context(), d, "d", ""); err != nil || !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("%q, %v", got, err)
			}
			if again(s) != 1 || !strings.Contains(s.Log(), "GET of images: ") {
				t.Errorf("the log is %q", s.Log())
			}
			meet(s, "GET images", always, f)
			s.Asked()
			if got, err := names(t.Context(), d, "d", ""); err == nil || len(got) != 0 || !strings.Contains(err.Error(), "GET of images: ") {
				t.Errorf("always: %q, %v", got, err)
			}
			if asked := count(s.Asked(), "GET images"); asked != 2 {
				t.Errorf("Swift was asked %d times, want 2", asked)
			}
		})
	}
}

// What is no list is not read on.
func TestListThatIsNone(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	left := make(chan struct{})
	meet(s, "GET images", 1, func(_ *pretend.Swift, w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	if got, err := names(t.Context(), d, "d", ""); err == nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	<-left
}

// An error ends a list, after what came before it.
func TestListThatFailsLater(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := paged(t, s, 2)
	for _, name := range []string{"a", "b", "c"} {
		put(t, d, name, "")
	}
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if called(r) != "GET images" || r.URL.Query().Get("marker") == "" {
			return false
		}
		fails(403)(s, w, r)
		return true
	})
	if got, err := names(t.Context(), d, ".", ""); err == nil || !strings.Contains(err.Error(), "403") || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q, %v; want a and b, and 403", got, err)
	}
}
