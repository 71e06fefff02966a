package swift_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// partsAre asserts what the parts of an object are.
func partsAre(t *testing.T, d *swift.Driver, name string, want ...string) {
	t.Helper()
	if got, err := d.Parts(t.Context(), name); err != nil || !slices.Equal(got, want) {
		t.Errorf("the parts of %s are %q, %v; want %q", name, got, err, want)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	parts := link(t, d, "object", "first,", "second")
	put(t, d, "plain", `[{"name": "/images/object", "sub_slo": true}]`)
	s.Asked()
	partsAre(t, d, "object", parts[0].Name, parts[1].Name)
	partsAre(t, d, "plain")
	asks(t, s, "GET object", "GET plain")
	partsAre(t, d, "nothing")
	asks(t, s, "GET nothing", "GET nothing")
}

func TestPartsOfNested(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	meet(s, "GET /info", always, tells(`{"slo": {"max_manifest_segments": 2}}`))
	d := s.Open()
	parts := link(t, d, "object", digits(3)...)
	all, err := d.Parts(t.Context(), "object")
	if err != nil || len(all) != 5 || all[1] != parts[0].Name || all[2] != parts[1].Name || all[4] != parts[2].Name {
		t.Fatalf("the parts are %q, %v; want %v, each behind its group", all, err, parts)
	}
	partsAre(t, d, all[0], parts[0].Name, parts[1].Name)
	if err := d.Delete(t.Context(), all[3]); err != nil { // with what is below
		t.Error(err)
	}
	partsAre(t, d, "object", all[:4]...)
	meet(s, "GET images/"+all[0], always, fails(403))
	if all, err := d.Parts(t.Context(), "object"); err == nil || all != nil {
		t.Errorf("parts that cannot be listed: %q, %v", all, err)
	}
}

func TestPartsElsewhere(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	link(t, d, "object", "first,", "second")
	meet(s, "GET images/object", 1, func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Static-Large-Object", "True")
		tells(`[{"name": "/others/a"}, {"name": "/images-2/b", "sub_slo": true}, {"name": "/images/c"}]`)(s, w, r)
	})
	partsAre(t, d, "object", "c")
}

// unread is a body that says how much of it was read.
type unread struct {
	io.Reader
	n      int
	closed bool
}

func (u *unread) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	u.n += n
	return n, err
}

func (u *unread) Close() error {
	u.closed = true
	return nil
}

// A plain object is not read for its parts, but for a small one, whose connection can be
// used again then.
func TestPartsReadNoObject(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{100: 100, 64 << 10: 64 << 10, 1 << 20: 0} {
		var body *unread
		s := &there{}
		s.answer = func(*http.Request) (*http.Response, error) {
			a := says(200, random(size), "Etag", "e", "X-Timestamp", "1700000000.00000")
			a.ContentLength = int64(size)
			body = &unread{Reader: a.Body}
			a.Body = body
			return a, nil
		}
		partsAre(t, s.open(t, retries(0)), "object")
		if body.n != want || !body.closed {
			t.Errorf("of %d bytes %d are read, want %d; closed: %v", size, body.n, want, body.closed)
		}
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	parts := link(t, d, "object", "first,", "second")
	put(t, d, "plain", "content")
	s.Asked()
	for from, to := range map[string]string{"object": "d/sha256:00%2f aside?", "plain": "d/é"} {
		if err := d.Rename(t.Context(), from, to); err != nil {
			t.Fatal(err)
		}
		asks(t, s, "COPY "+from, "DELETE "+from)
		lacks(t, d, from)
		s.Asked()
	}
	has(t, d, "d/sha256:00%2f aside?", "first,second")
	has(t, d, "d/é", "content")
	partsAre(t, d, "d/sha256:00%2f aside?", parts[0].Name, parts[1].Name)
}

// Swift makes no large object that lacks a segment. Its use is over, but what it was made
// of is not forgotten.
func TestRenameOfWhatLacksASegment(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(t *testing.T, d *swift.Driver, name string){
		"gone": func(t *testing.T, d *swift.Driver, name string) {
			if err := d.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		},
		"shorter": func(t *testing.T, d *swift.Driver, name string) { put(t, d, name, "x") },
	} {
		s := pretend.New(t)
		d := open(t, s, retries(3))
		parts := link(t, d, "object", "first,", "second")
		spoil(t, d, parts[0].Name)
		s.Asked()
		if err := d.Rename(t.Context(), "object", "aside"); err != nil || again(s) != 0 {
			t.Errorf("%s: %v, and the log is %q", what, err, s.Log())
		}
		if n := count(s.Asked(), "COPY images/object"); n != 1 {
			t.Errorf("%s: Swift was asked %d times", what, n)
		}
		lacks(t, d, "object")
		has(t, d, parts[1].Name, "second")
		partsAre(t, d, "aside")
		text, err := read(t.Context(), d, "aside")
		if err != nil || !strings.Contains(text, parts[0].Name) || !strings.Contains(text, parts[1].Name) {
			t.Errorf("%s: what takes its place holds %q, %v", what, text, err)
		}
	}
}

// Swift refuses the same way when it could not look. Nothing is removed that has no
// other name.
func TestRenameThatFails(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(1))
	link(t, d, "object", "first,", "second")
	for _, status := range []int{400, 403, 503, 202} {
		meet(s, "COPY images/object", always, fails(status))
		if err := d.Rename(t.Context(), "object", "aside"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d: %v, want a fault", status, err)
		}
		has(t, d, "object", "first,second")
		lacks(t, d, "aside")
	}
	meet(s, "COPY images/object", 1, fails(400))
	if err := d.Rename(t.Context(), "object", "aside"); err != nil {
		t.Error(err)
	}
	has(t, d, "aside", "first,second")
	if err := d.Rename(t.Context(), "object", "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v, want fs.ErrNotExist", err)
	}
}

// To put what is known in the place of a damaged object may fail.
func TestRenameThatForgetsNothing(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	parts := link(t, d, "object", "first,", "second")
	if err := d.Delete(t.Context(), parts[0].Name); err != nil {
		t.Fatal(err)
	}
	for _, meant := range []string{"GET images/object", "PUT images/aside"} {
		meet(s, meant, always, fails(503))
		if err := d.Rename(t.Context(), "object", "aside"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want a fault", meant, err)
		}
		if _, err := d.Stat(t.Context(), "object"); err != nil {
			t.Errorf("%s: %v, want it to stay", meant, err)
		}
	}
}
