package swift_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// sent counts the bytes of what is put, and how often.
type sent struct {
	mu    sync.Mutex
	sizes []int64
}

func (c *sent) watch(s *pretend.Swift, meant string) {
	note(s, meant, func(r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(content))
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sizes = append(c.sizes, int64(len(content)))
	})
}

func sizes(parts []storage.Part) (all []int64) {
	for _, p := range parts {
		all = append(all, p.Size)
	}
	return all
}

// No byte is sent twice: what is put is the content, and then the manifest.
func TestContentIsCutIntoParts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part, size int64
		want       []int64
	}{
		{mebibyte, 0, nil},
		{mebibyte, 1, []int64{1}},
		{mebibyte, mebibyte, []int64{mebibyte}},
		{mebibyte, mebibyte + 1, []int64{mebibyte, 1}},
		{mebibyte, 2.5 * mebibyte, []int64{mebibyte, mebibyte, mebibyte / 2}},
		{2 * mebibyte, 4.5 * mebibyte, []int64{2 * mebibyte, 2 * mebibyte, mebibyte / 2}},
		{1.5 * mebibyte, 2 * mebibyte, []int64{1.5 * mebibyte, mebibyte / 2}},
	} {
		t.Run(fmt.Sprint(tt.size, " by ", tt.part), func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := open(t, s, func(o *swift.Options) { o.PartSize = tt.part })
			var puts sent
			puts.watch(s, "PUT images/parts/")
			content := random(int(tt.size))
			parts := store(t, d, content)
			if got := sizes(parts); !slices.Equal(got, tt.want) {
				t.Errorf("the parts have %v bytes, want %v", got, tt.want)
			}
			if !slices.Equal(puts.sizes, tt.want) {
				t.Errorf("Swift was sent %v bytes, want %v", puts.sizes, tt.want)
			}
			s.Asked()
			if err := d.Concat(t.Context(), "object", parts); err != nil {
				t.Fatal(err)
			}
			if asked, want := s.Asked(), []string{"PUT images/object"}; !slices.Equal(asked, want) {
				t.Errorf("to make the object Swift was asked %q, want %q", asked, want)
			}
			has(t, d, "object", content)
		})
	}
}

// Each part has a name that nobody had before, below the directory, and those of an
// earlier Append stay what they were.
func TestPartsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	first := slices.Grow(store(t, d, "a"), 10)
	one, err := storagetest.Append(t.Context(), d, "parts", first, strings.NewReader("b"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := storagetest.Append(t.Context(), d, "parts", first, strings.NewReader("c"))
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 1 || len(one) != 2 || len(other) != 2 || one[0] != first[0] || other[0] != first[0] || one[1].Name == other[1].Name {
		t.Errorf("the parts are %v, then %v, and then %v", first, one, other)
	}
	for _, p := range append(one, other...) {
		if name, ok := strings.CutPrefix(p.Name, "parts/"); !ok || strings.Contains(name, "/") || len(name) < 20 {
			t.Errorf("a part is called %q", p.Name)
		}
	}
	has(t, d, one[1].Name, "b")
	has(t, d, other[1].Name, "c")
}

// gate holds what is asked for until it is opened, and says when something is there.
type gate struct {
	there, open chan struct{}
}

func newGate() gate { return gate{make(chan struct{}, 100), make(chan struct{})} }

func (g gate) hold(s *pretend.Swift, meant string) {
	note(s, meant, func(*http.Request) {
		g.there <- struct{}{}
		<-g.open
	})
}

// The next part comes in while one is on its way.
func TestNextPartArrivesMeanwhile(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	g := newGate()
	g.hold(s, "PUT images/parts/")
	content := random(2*mebibyte + 10)
	reader := strings.NewReader(content)
	var parts []storage.Part
	var stored []storage.Stored
	for range 3 {
		more, wait, err := d.Append(t.Context(), "parts", parts, reader)
		if err != nil {
			t.Fatal(err)
		}
		parts, stored = more, append(stored, wait)
	}
	for range parts {
		<-g.there // all at once
	}
	if all, err := names(t.Context(), d, "parts", ""); len(all) != 0 || err != nil {
		t.Errorf("before the gate is open, there are stored %q, %v", all, err)
	}
	close(g.open)
	for i, wait := range stored {
		if err := wait(); err != nil {
			t.Error(err)
		}
		has(t, d, parts[i].Name, content[i*mebibyte:min(len(content), (i+1)*mebibyte)])
	}
}

// What has come counts, also when its client has gone.
func TestWhoGoesLeavesAPart(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	g := newGate()
	g.hold(s, "PUT images/parts/")
	ctx, leave := context.WithCancel(t.Context())
	parts, stored, err := d.Append(ctx, "parts", nil, strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	<-g.there
	leave()
	close(g.open)
	if err := stored(); err != nil {
		t.Error(err)
	}
	has(t, d, parts[0].Name, "content")
}

var errGone = errors.New("the client has gone")

// breaking gives some content, and then fails.
func breaking(content string) io.Reader {
	return io.MultiReader(strings.NewReader(content), failing{})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errGone }

func TestContentThatFails(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	before := store(t, d, "before,")
	content := random(mebibyte / 2)
	parts, stored, err := d.Append(t.Context(), "parts", before, breaking(content))
	if !errors.Is(err, errGone) {
		t.Errorf("%v, want the content's error", err)
	}
	if err := stored(); err != nil || len(parts) != 2 || parts[0] != before[0] || parts[1].Size != int64(len(content)) {
		t.Fatalf("the parts are %v, %v", parts, err)
	}
	has(t, d, parts[1].Name, content)
	s.Asked()
	parts, stored, err = d.Append(t.Context(), "parts", before, breaking(""))
	if fault := stored(); !errors.Is(err, errGone) || fault != nil || !slices.Equal(parts, before) {
		t.Errorf("of content that fails at once: parts %v, %v, stored %v", parts, err, fault)
	}
	if asked := s.Asked(); len(asked) != 0 {
		t.Errorf("Swift was asked %q to store nothing", asked)
	}
}

// A body that changes on its way is seen by its MD5, and sent again whole.
func TestContentThatChangesOnItsWay(t *testing.T) {
	t.Parallel()
	content := random(mebibyte + 100)
	for what, do := range map[string]func(d *swift.Driver) error{
		"Append": func(d *swift.Driver) error {
			parts, err := storagetest.Append(t.Context(), d, "object", nil, strings.NewReader(content))
			return errors.Join(err, d.Concat(t.Context(), "whole", parts), holds(t.Context(), d, "whole", content))
		},
		"Put": func(d *swift.Driver) error {
			return errors.Join(d.Put(t.Context(), "object/one", strings.NewReader(content), storage.Durable), holds(t.Context(), d, "object/one", content))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := open(t, s, retries(1))
			meet(s, "PUT images/object/", 1, func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				body[len(body)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(body))
				s.Forward(w, r)
			})
			if err := do(d); err != nil {
				t.Error(err)
			}
			if again(s) != 1 || !strings.Contains(s.Log(), "422") {
				t.Errorf("the log is %q, want 422 once", s.Log())
			}
			if asked := count(s.Asked(), "PUT images/object/"); asked < 2 {
				t.Errorf("Swift was asked %d times", asked)
			}
		})
	}
}

// What is in front of a Swift may not know that a body waits until it is wanted.
func TestNobodySaysThatABodyIsWanted(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	content, came := random(1000), make([]byte, 1000)
	meet(s, "PUT images/parts/", 1, func(_ *pretend.Swift, w http.ResponseWriter, r *http.Request) {
		connection, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := io.ReadFull(both, came); err != nil || r.Header.Get("Expect") != "100-continue" {
			t.Error(r.Header, err)
		}
		_, _ = io.WriteString(connection, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_ = connection.Close()
	})
	if _, err := storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader(content)); err != nil || string(came) != content {
		t.Errorf("%v, or what came is not what was sent", err)
	}
}
