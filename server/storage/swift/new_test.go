package swift_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// tells has Swift tell that of itself.
func tells(text string) fault {
	return func(_ *pretend.Swift, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

// Who may write to a container need not be allowed to make one.
func TestContainerIsMadeWhereThereIsNone(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	put(t, s.Open(), "object", "x")
	if asked, want := s.Asked(), []string{login, "HEAD images", "PUT images", "GET /info", "PUT images/object"}; !slices.Equal(asked, want) {
		t.Errorf("Swift was asked %q, want %q", asked, want)
	}
	has(t, s.Open(), "object", "x")
	if asked, want := s.Asked(), []string{login, "HEAD images", "GET /info", "GET images/object"}; !slices.Equal(asked, want) {
		t.Errorf("where there is a container Swift was asked %q, want %q", asked, want)
	}
	for _, status := range []int{400, 403, 409} {
		meet(s, "HEAD images", always, fails(status))
		_, err := swift.New(t.Context(), s.Options())
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) || !strings.Contains(err.Error(), "images") {
			t.Errorf("%v, want %d", err, status)
		}
		if asked, want := s.Asked(), []string{login, "HEAD images"}; !slices.Equal(asked, want) {
			t.Errorf("after %d Swift was asked %q, want %q", status, asked, want)
		}
	}
}

// Who comes to what others keep makes nothing.
func TestAttach(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	if _, err := swift.Attach(t.Context(), s.Options()); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `"images"`) {
		t.Errorf("where there is no container: %v, want a fault that names it", err)
	}
	if asked, want := s.Asked(), []string{login, "HEAD images"}; !slices.Equal(asked, want) {
		t.Errorf("where there is no container, Swift was asked %q, want %q", asked, want)
	}
	put(t, s.Open(), "object", "x")
	meet(s, "GET /info", always, tells(`{"slo": {"max_manifest_segments": 2}}`))
	s.Asked()
	d, err := swift.Attach(t.Context(), s.Options())
	if err != nil {
		t.Fatal(err)
	}
	if asked, want := s.Asked(), []string{login, "HEAD images", "GET /info"}; !slices.Equal(asked, want) {
		t.Errorf("Swift was asked %q, want %q", asked, want)
	}
	has(t, d, "object", "x")
	if link(t, d, "large", "a", "b", "c"); count(s.Asked(), "PUT images/parts/") != 5 {
		t.Error("the limits are not those of this Swift")
	}
}

func TestContainerThatCannotBeMade(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	meet(s, "PUT images", always, fails(403))
	_, err := swift.New(t.Context(), s.Options())
	if err == nil || !strings.Contains(err.Error(), "PUT of images: ") || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v, want 403 at PUT of images", err)
	}
}

func TestNewMeetsFaultsThatPass(t *testing.T) {
	t.Parallel()
	for meant, named := range map[string]string{"HEAD images": "HEAD of images: ", "PUT images": "PUT of images: ", "GET /info": "GET of its /info: "} {
		for name, f := range map[string]fault{"503": fails(503), "lost": lost} {
			t.Run(meant+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := pretend.New(t)
				meet(s, meant, 1, f)
				put(t, open(t, s, func(o *swift.Options) { unkept(o); o.Retries = 1 }), "object", "x")
				if again(s) != 1 || !strings.Contains(s.Log(), named) {
					t.Errorf("the log is %q", s.Log())
				}
			})
		}
	}
}

func TestSwiftWithoutLargeObjects(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	meet(s, "GET /info", always, tells(`{"swift": {"version": "2.30.1"}, "tempauth": {}}`))
	if _, err := swift.New(t.Context(), s.Options()); err == nil || !strings.Contains(err.Error(), "static large objects (slo)") {
		t.Errorf("%v, want one that says what is missing", err)
	}
}

// A Swift that keeps its limits to itself has the usual ones; one that tells has those,
// unless they are none, or more than is of use.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		info     fault
		segments int // of which a large object is made
		page     string
	}{
		"401":          {fails(401), 1000, "10000"},
		"403":          {fails(403), 1000, "10000"},
		"404":          {fails(404), 1000, "10000"},
		"said":         {tells(`{"swift": {"container_listing_limit": 200}, "slo": {"max_manifest_segments": 3}}`), 3, "200"},
		"not said":     {tells(`{"swift": {}, "slo": {}}`), 1000, "10000"},
		"more":         {tells(`{"swift": {"container_listing_limit": 50000}, "slo": {"max_manifest_segments": 5000}}`), 1000, "10000"},
		"nothing":      {tells(`{"swift": {"container_listing_limit": 0}, "slo": {"max_manifest_segments": 1}}`), 1000, "10000"},
		"no numbers":   {tells(`{"swift": {"container_listing_limit": "many"}, "slo": {"max_manifest_segments": null}}`), 1000, "10000"},
		"other things": {tells(`{"swift": "2.30.1", "slo": true}`), 1000, "10000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			meet(s, "GET /info", always, tt.info)
			d := s.Open()
			var limits []string
			var puts, segments int
			s.Between(func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case is(called(r), "GET images"):
					limits = append(limits, r.URL.Query().Get("limit"))
					sendPage(w, limits)
				case r.URL.Query().Get("multipart-manifest") == "put":
					text, _ := io.ReadAll(r.Body)
					puts, segments = puts+1, max(segments, strings.Count(string(text), `"path"`))
					w.WriteHeader(http.StatusCreated)
				default:
					return false
				}
				return true
			})
			if _, err := names(t.Context(), d, "d", ""); err != nil || !slices.Equal(limits, []string{"100", tt.page}) {
				t.Errorf("pages of %q are asked for, %v; want 100 and %s", limits, err, tt.page)
			}
			if err := d.Concat(t.Context(), "object", many(1001)); err != nil || segments != tt.segments || puts < 3 {
				t.Errorf("%d large objects with %d segments at most, %v; want %d", puts, segments, err, tt.segments)
			}
		})
	}
}

// sendPage sends a full first page of a list, and then an empty one.
func sendPage(w http.ResponseWriter, asked []string) {
	if len(asked) > 1 {
		_, _ = io.WriteString(w, "[]")
		return
	}
	var entries []string
	for i := range 100 {
		entries = append(entries, fmt.Sprintf(`{"name": "d/%03d"}`, i))
	}
	_, _ = fmt.Fprintf(w, "[%s]", strings.Join(entries, ","))
}

// A Swift that cannot say what it is cannot be worked with.
func TestSwiftThatTellsNonsense(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{fails(503), tells("<html>"), tells(`{"slo": {}`)} {
		s := pretend.New(t)
		meet(s, "GET /info", always, f)
		o := s.Options()
		o.Retries = 0
		if _, err := swift.New(t.Context(), o); err == nil {
			t.Error("no error")
		}
	}
}
