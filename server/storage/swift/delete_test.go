package swift_test

import (
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// Nobody must find an object that has lost a segment.
func TestDeleteTakesTheObjectBeforeItsSegments(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	parts := link(t, d, "object", "first,", "second,", "third")
	s.Asked()
	if err := d.Delete(t.Context(), "object"); err != nil {
		t.Fatal(err)
	}
	asked := s.Asked()
	want := []string{"HEAD images/object", "GET images/object", "DELETE images/object"}
	for _, p := range parts {
		want = append(want, "DELETE images/"+p.Name)
	}
	if len(asked) > 3 {
		slices.Sort(asked[3:])
	}
	slices.Sort(want[3:])
	if !slices.Equal(asked, want) {
		t.Errorf("Swift was asked %q, want %q", asked, want)
	}
}

func TestDeleteOfAPlainObject(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	put(t, d, "object", `[{"name": "/images/other"}]`)
	put(t, d, "other", "x")
	s.Asked()
	if err := d.Delete(t.Context(), "object"); err != nil {
		t.Fatal(err)
	}
	if asked, want := s.Asked(), []string{"HEAD images/object", "DELETE images/object"}; !slices.Equal(asked, want) {
		t.Errorf("Swift was asked %q, want %q", asked, want)
	}
	has(t, d, "other", "x")
}

func TestDeleteOfNothing(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	s.Asked()
	if err := d.Delete(t.Context(), "object"); err != nil {
		t.Error(err)
	}
	if asked := s.Asked(); count(asked, "HEAD images/object") != len(asked) {
		t.Errorf("Swift was asked %q", asked)
	}
}

// Segments that stay are said, and do not keep the others.
func TestDeleteLeavesASegment(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	parts := link(t, d, "object", "first,", "second,", "third")
	meet(s, "DELETE images/"+parts[1].Name, always, fails(503))
	if err := d.Delete(t.Context(), "object"); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), parts[1].Name) {
		t.Errorf("%v, want a fault of %s", err, parts[1].Name)
	}
	if _, err := d.Stat(t.Context(), "object"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the object: %v", err)
	}
	all, err := names(t.Context(), d, "parts", "")
	if want := strings.TrimPrefix(parts[1].Name, "parts/"); err != nil || !slices.Equal(all, []string{want}) {
		t.Errorf("there are left %q, %v; want %s", all, err, want)
	}
}

// A segment may have gone already.
func TestDeleteMissesASegment(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	parts := link(t, d, "object", "first,", "second")
	for _, name := range []string{parts[0].Name, "object"} {
		if err := d.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if all, err := names(t.Context(), d, ".", ""); err != nil || len(all) != 0 {
		t.Errorf("there are left %q, %v", all, err)
	}
}

// An object that is not deleted keeps its segments.
func TestDeleteThatFailsTakesNothing(t *testing.T) {
	t.Parallel()
	for _, meant := range []string{"HEAD images/object", "GET images/object", "DELETE images/object"} {
		s := pretend.New(t)
		d := open(t, s, retries(0))
		link(t, d, "object", "first,", "second")
		meet(s, meant, always, fails(503))
		if err := d.Delete(t.Context(), "object"); err == nil {
			t.Errorf("%s: no error", meant)
		}
		s.Between(nil)
		has(t, d, "object", "first,second")
	}
}

// What a large object has in another container is not ours.
func TestDeleteKeepsWhatIsElsewhere(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	parts := link(t, d, "object", "first,", "second")
	s.Asked()
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("multipart-manifest") != "get" {
			return false
		}
		w.Header().Set("X-Static-Large-Object", "True")
		tells(`[{"name": "/others/`+parts[0].Name+`"}, {"name": "/images-2/`+parts[0].Name+`"}, {"name": "/images/`+parts[1].Name+`"}]`)(s, w, r)
		return true
	})
	if err := d.Delete(t.Context(), "object"); err != nil {
		t.Error(err)
	}
	if asked, want := s.Asked()[2:], []string{"DELETE images/object", "DELETE images/" + parts[1].Name}; !slices.Equal(asked, want) {
		t.Errorf("Swift was asked %q, want %q", asked, want)
	}
}
