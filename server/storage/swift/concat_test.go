package swift_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// manifest is a large object as it is put.
type manifest []struct {
	Path string `json:"path"`
	Size int64  `json:"size_bytes"`
}

// manifests has a look at those that are put, and may refuse one.
func manifests(t *testing.T, s *pretend.Swift, refuse func(name string, m manifest) (status int)) {
	t.Helper()
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("multipart-manifest") != "put" {
			return false
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var m manifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		if status := refuse(called(r), m); status != 0 {
			fails(status)(s, w, r)
			return true
		}
		return false
	})
}

// digits are contents of one byte each.
func digits(n int) (all []string) {
	for i := range n {
		all = append(all, string(rune('a'+i%26)))
	}
	return all
}

// Where there are more parts than a large object may have, it is made of large ones.
func TestManyPartsNest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ parts, manifests int }{{3, 1}, {4, 3}, {9, 4}, {10, 7}} {
		t.Run(fmt.Sprint(tt.parts), func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			meet(s, "GET /info", always, tells(`{"slo": {"max_manifest_segments": 3}}`))
			d := s.Open()
			var mu sync.Mutex
			var puts []string
			manifests(t, s, func(name string, m manifest) int {
				mu.Lock()
				defer mu.Unlock()
				if puts = append(puts, name); len(m) > 3 || len(m) == 0 {
					return 413
				}
				return 0
			})
			content := digits(tt.parts)
			link(t, d, "object", content...)
			has(t, d, "object", strings.Join(content, ""))
			if info, err := d.Stat(t.Context(), "object"); err != nil || info.Size != int64(tt.parts) {
				t.Errorf("it has %d bytes, %v", info.Size, err)
			}
			if len(puts) != tt.manifests || puts[len(puts)-1] != "PUT images/object" {
				t.Errorf("large objects are put at %q, want %d, and the object last", puts, tt.manifests)
			}
			if err := d.Delete(t.Context(), "object"); err != nil {
				t.Error(err)
			}
			if all, err := names(t.Context(), d, ".", ""); err != nil || len(all) != 0 {
				t.Errorf("when it is deleted, the store has %q, %v", all, err)
			}
		})
	}
}

// What cannot be nested is said before the object is there.
func TestNestingThatFails(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	meet(s, "GET /info", always, tells(`{"slo": {"max_manifest_segments": 2}}`))
	d := s.Open()
	parts := store(t, d, digits(5)...)
	manifests(t, s, func(name string, _ manifest) int {
		if is(name, "PUT images/parts/") {
			return 403
		}
		return 0
	})
	if err := d.Concat(t.Context(), "object", parts); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v, want 403", err)
	}
	if _, err := d.Stat(t.Context(), "object"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want no object", err)
	}
}

// Swift answers 400 when a part is not there, or not what it was.
func TestConcatLooksForPartsThatAreGone(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(t *testing.T, d *swift.Driver, name string){
		"gone": func(t *testing.T, d *swift.Driver, name string) {
			if err := d.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		},
		"shorter": func(t *testing.T, d *swift.Driver, name string) { put(t, d, name, "x") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := open(t, s, retries(3))
			parts := store(t, d, "first,", "second,", "third")
			spoil(t, d, parts[1].Name)
			s.Asked()
			err := d.Concat(t.Context(), "object", parts)
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), parts[1].Name) || strings.Contains(err.Error(), parts[0].Name) {
				t.Errorf("%v, want fs.ErrNotExist of %s", err, parts[1].Name)
			}
			if asked := count(s.Asked(), "PUT images/object"); asked != 1 || again(s) != 0 {
				t.Errorf("Swift was asked %d times, and the log is %q", asked, s.Log())
			}
			if _, err := d.Stat(t.Context(), "object"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v, want no object", err)
			}
		})
	}
}

// Swift answers the same when it could not look, which may pass.
func TestConcatWhileSwiftCannotLook(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(1))
	parts := store(t, d, "first,", "second")
	puts := 0
	manifests(t, s, func(string, manifest) int {
		if puts++; puts == 1 {
			return 400
		}
		return 0
	})
	if err := d.Concat(t.Context(), "object", parts); err != nil {
		t.Error(err)
	}
	has(t, d, "object", "first,second")
	if again(s) != 1 || !strings.Contains(s.Log(), "PUT of images/object") {
		t.Errorf("the log is %q, want one fault", s.Log())
	}

	manifests(t, s, func(string, manifest) int { return 400 })
	s.Asked()
	err := d.Concat(t.Context(), "other", parts)
	if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), "images/other") {
		t.Errorf("%v, want 400 at images/other", err)
	}
	if asked := count(s.Asked(), "PUT images/other"); asked != 2 {
		t.Errorf("Swift was asked %d times, want 2", asked)
	}
}

// When the parts cannot be looked for either, they are not said to be gone.
func TestConcatWhileNobodyCanLook(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	parts := store(t, d, "first,", "second")
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		status := map[string]int{"PUT": 400, "HEAD": 503}[r.Method]
		if status != 0 {
			fails(status)(s, w, r)
		}
		return status != 0
	})
	if err := d.Concat(t.Context(), "object", parts); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want a fault", err)
	}
}

// The parts stay where they are, and nobody else's are named.
func TestManifest(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	parts := store(t, d, "first,", "second")
	manifests(t, s, func(name string, m manifest) int {
		want := manifest{{"images/" + parts[0].Name, 6}, {"images/" + parts[1].Name, 6}}
		if name != "PUT images/object" || !slices.Equal(m, want) {
			t.Errorf("%s has %v, want %v", name, m, want)
		}
		return 0
	})
	if err := d.Concat(t.Context(), "object", parts); err != nil {
		t.Error(err)
	}
}

// One part is an object, too, and may have been stored by a process that is no more.
func TestPartsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	parts := store(t, s.Open(), "first,")
	d := s.Open()
	more, stored, err := d.Append(t.Context(), "parts", parts, strings.NewReader("second"))
	if err := errors.Join(err, stored(), d.Concat(t.Context(), "object", more)); err != nil {
		t.Fatal(err)
	}
	has(t, s.Open(), "object", "first,second")
	if got := storage.Size(more); got != 12 {
		t.Errorf("the parts have %d bytes", got)
	}
}
