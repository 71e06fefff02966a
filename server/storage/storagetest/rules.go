package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
)

func absent(t *testing.T, s store) {
	s.put("a/b/c", "x")
	for _, name := range []string{"nothing", "a/b", "a/b/d", "a/b/c.d"} {
		s.lacks(name)
		if err := s.Touch(context.Background(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Touch %s: %v, want fs.ErrNotExist", name, err)
		}
	}
}

func putAndOpen(t *testing.T, s store) {
	for name, content := range map[string]string{
		"_local/blobs/sha256:00/data":            "content",
		"_local/repos/a/_manifests/manifests/v1": "",
		"large":                                  strings.Repeat("0123456789abcdef", 1<<16),
	} {
		s.put(name, content)
		s.has(name, content)
	}
}

func replace(t *testing.T, s store) {
	s.put("tag", "the first, which is longer")
	s.put("tag", "the second")
	s.has("tag", "the second")
	err := s.Put(context.Background(), "tag", broken("the thi"), storage.Durable)
	if !errors.Is(err, errBroken) {
		t.Errorf("Put of what breaks off: %v, want its error", err)
	}
	s.has("tag", "the second")
	if err := s.Put(context.Background(), "new", broken("half"), storage.Volatile); err == nil {
		t.Error("Put of what breaks off: no error")
	}
	s.lacks("new")
	if got, want := s.objects("."), []string{"tag"}; !slices.Equal(got, want) {
		t.Errorf("the store lists %q, want %q: a failed Put leaves nothing", got, want)
	}
}

func escape(t *testing.T, s store) {
	ctx := context.Background()
	s.put("object", "x")
	for _, name := range []string{"../x", "a/../../x", "/etc/x", "a//b", "", "a/."} {
		_, _, open := s.Open(ctx, name)
		_, stat := s.Stat(ctx, name)
		_, stored, add := s.Append(ctx, name, nil, strings.NewReader("x"))
		var list error
		for _, err := range s.List(ctx, name, "") {
			list = err
		}
		_, expire := s.Expire(ctx, name, time.Now())
		_, parts := s.Parts(ctx, name)
		for what, err := range map[string]error{
			"Put": s.Put(ctx, name, strings.NewReader("x"), storage.Volatile), "Concat": s.Concat(ctx, name, nil),
			"Open": open, "Stat": stat, "Touch": s.Touch(ctx, name), "Delete": s.Delete(ctx, name),
			"Append": errors.Join(add, stored()), "List": list, "Expire": expire, "Parts": parts,
			"Rename from": s.Rename(ctx, name, "x"), "Rename to": s.Rename(ctx, "object", name),
		} {
			if err == nil {
				t.Errorf("%s %q: no error", what, name)
			}
		}
	}
	if got, want := s.objects("."), []string{"object"}; !slices.Equal(got, want) {
		t.Errorf("the store lists %q, want %q", got, want)
	}
}

func seek(t *testing.T, s store) {
	s.put("digits", "0123456789")
	f := s.open("digits")
	for _, tt := range []struct {
		offset int64
		whence int
		rest   string
	}{{7, io.SeekStart, "789"}, {-2, io.SeekEnd, "89"}, {0, io.SeekStart, "0123456789"}, {-4, io.SeekCurrent, "6789"}, {10, io.SeekStart, ""}} {
		if _, err := f.Seek(tt.offset, tt.whence); err != nil {
			t.Fatalf("Seek %d, %d: %v", tt.offset, tt.whence, err)
		}
		if got := s.read(f); got != tt.rest {
			t.Errorf("after Seek %d, %d: %q, want %q", tt.offset, tt.whence, got, tt.rest)
		}
	}
}

func readOn(t *testing.T, s store) {
	s.put("object", "old content")
	f := s.open("object")
	start := make([]byte, 4)
	if _, err := io.ReadFull(f, start); err != nil {
		t.Fatal(err)
	}
	s.put("object", "new content, longer")
	s.delete("object")
	if rest, err := io.ReadAll(f); err == nil && string(rest) != "content" {
		t.Errorf("the rest is %q: neither as it was nor an error", rest)
	}
}

func concat(t *testing.T, s store) {
	s.concat("one", s.append(nil, "single"))
	s.has("one", "single")
	parts := s.append(nil, "first,")
	parts = s.append(parts, "")
	parts = s.append(parts, "second,")
	parts = s.append(parts, strings.Repeat("third", 1<<16))
	s.concat("several", parts)
	s.has("several", "first,second,"+strings.Repeat("third", 1<<16))
	s.concat("one", s.append(nil, "replaced"))
	s.has("one", "replaced")
}

func concatNothing(t *testing.T, s store) {
	s.concat("empty", nil)
	s.has("empty", "")
	s.concat("also empty", s.append(nil, ""))
	s.has("also empty", "")
}

func appendBroken(t *testing.T, s store) {
	parts := s.append(nil, "first,")
	parts, err := Append(context.Background(), s.Driver, "segments/one", parts, broken("second,"))
	if !errors.Is(err, errBroken) {
		t.Fatalf("Append of what breaks off: %v, want its error", err)
	}
	if got := storage.Size(parts); got != 13 {
		t.Fatalf("the parts have %d bytes, want 13", got)
	}
	s.concat("object", s.append(parts, "third"))
	s.has("object", "first,second,third")
}

func goBack(t *testing.T, s store) {
	parts := s.append(nil, "first,")
	s.append(parts, "what did not count, and is longer")
	s.concat("again", s.append(parts, "second"))
	s.has("again", "first,second")

	parts = s.append(nil, "alone")
	s.append(parts, ", but for this")
	s.concat("back", parts)
	s.has("back", "alone")
}

func appendAhead(t *testing.T, s store) {
	content := strings.NewReader(strings.Repeat("0123456789abcdef", 1<<17)) // of two MiB
	var parts []storage.Part
	var waiting []storage.Stored
	for content.Len() > 0 {
		more, stored, err := s.Append(context.Background(), "segments/one", parts, content)
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		parts, waiting = more, append(waiting, stored)
	}
	for _, stored := range slices.Backward(waiting) {
		if err := stored(); err != nil {
			t.Fatalf("Stored: %v", err)
		}
	}
	s.concat("object", parts)
	s.has("object", strings.Repeat("0123456789abcdef", 1<<17))
}

func appendAndGo(t *testing.T, s store) {
	ctx, leave := context.WithCancel(context.Background())
	parts, stored, err := s.Append(ctx, "segments/one", nil, strings.NewReader("content"))
	leave()
	if err := errors.Join(err, stored()); err != nil {
		t.Fatalf("Append: %v", err)
	}
	s.concat("object", parts)
	s.has("object", "content")
}

func openPart(t *testing.T, s store) {
	parts := s.append(s.append(nil, "first,"), "second")
	var all strings.Builder
	for _, p := range parts {
		all.WriteString(s.read(io.LimitReader(s.open(p.Name), p.Size)))
	}
	if all.String() != "first,second" {
		t.Errorf("the parts hold %q", all.String())
	}
}

func concatLost(t *testing.T, s store) {
	s.put("object", "as it was")
	for what, lose := range map[string]func(p storage.Part){
		"gone":    func(p storage.Part) { s.delete(p.Name) },
		"shorter": func(p storage.Part) { s.put(p.Name, "x") },
	} {
		parts := s.append(s.append(nil, "first,"), "second")
		lose(parts[len(parts)-1])
		if err := s.Concat(context.Background(), "object", parts); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Concat of a part that is %s: %v, want fs.ErrNotExist", what, err)
		}
		s.has("object", "as it was")
	}
}

// Where the parts are meanwhile is the driver's business.
func partsGone(t *testing.T, s store) {
	s.concat("object", s.append(s.append(nil, "a"), "b"))
	s.delete("object")
	if got := s.objects("."); got != nil {
		t.Errorf("the store lists %q after the object was deleted: want nothing", got)
	}
	for _, part := range s.append(nil, "cancelled") {
		s.delete(part.Name)
	}
	if got := s.objects("."); got != nil {
		t.Errorf("the store lists %q after the parts were deleted: want nothing", got)
	}
}

func deleteTwice(t *testing.T, s store) {
	s.put("a/b/object", "x")
	s.put("a/other", "x")
	for range 2 {
		s.delete("a/b/object")
		s.lacks("a/b/object")
	}
	if got, want := s.objects("a"), []string{"a/other"}; !slices.Equal(got, want) {
		t.Errorf("a lists %q, want %q", got, want)
	}
}

func list(t *testing.T, s store) {
	for _, name := range []string{"d/b", "d/a-1/x", "d/a/y/z", "d/a/x", "d/B", "d/_c", "d/a.1", "e"} {
		s.put(name, "x")
	}
	for _, tt := range []struct {
		directory, after string
		want             []string
	}{
		{"d", "", []string{"B", "_c", "a-1/", "a.1", "a/", "b"}},
		{"d", "a", []string{"a-1/", "a.1", "a/", "b"}},
		{"d", "a-", []string{"a-1/", "a.1", "a/", "b"}},
		{"d", "a-1/", []string{"a.1", "a/", "b"}},
		{"d", "a.1", []string{"a/", "b"}},
		{"d", "a/", []string{"b"}},
		{"d", "b", nil},
		{"d/a", "", []string{"x", "y/"}},
		{".", "", []string{"d/", "e"}},
		{"absent", "", nil},
	} {
		if got := s.entries(tt.directory, tt.after); !slices.Equal(got, tt.want) {
			t.Errorf("%q after %q lists %q, want %q", tt.directory, tt.after, got, tt.want)
		}
	}
	for range s.List(context.Background(), "d", "") {
		break // a reader may stop
	}
}

func touch(t *testing.T, s store) {
	s.put("object", "x")
	before, err := s.Stat(context.Background(), "object")
	if err != nil || time.Since(before.Modified).Abs() > time.Minute {
		t.Fatalf("modified %v, %v: want now", before.Modified, err)
	}
	for after := before; !after.Modified.After(before.Modified); {
		if err := s.Touch(context.Background(), "object"); err != nil {
			t.Fatal(err)
		}
		if after, err = s.Stat(context.Background(), "object"); err != nil {
			t.Fatal(err)
		}
	}
	s.has("object", "x")
}

func usage(t *testing.T, s store) {
	s.put("a", "1234")
	s.put("b/c", "56")
	want := storage.Usage{Objects: 2, Bytes: 6}
	deadline := time.Now().Add(30 * time.Second) // Swift tells it later
	for {
		got, err := s.Usage(t.Context())
		if err == nil && got == want {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if got, err := s.Usage(ended); err == nil && got != want || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("when it has to end: %+v, %v", got, err)
	}
}

func sideBySide(t *testing.T, s store) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprintf("deep/directory/%d", i)
			for range 50 {
				if err := s.Put(context.Background(), name, strings.NewReader(name), storage.Durable); err != nil {
					t.Errorf("Put: %v", err)
				}
				if _, err := s.Stat(context.Background(), name); err != nil {
					t.Errorf("Stat: %v", err)
				}
				if err := s.Delete(context.Background(), name); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
		})
	}
	all.Wait()
	if got := s.objects("."); got != nil {
		t.Errorf("the store lists %q: want nothing", got)
	}
}

func concatAtOnce(t *testing.T, s store) {
	content := strings.Repeat("the same content ", 1<<12)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			parts, err := Append(context.Background(), s.Driver, fmt.Sprintf("segments/%d", i), nil, strings.NewReader(content))
			if err == nil {
				err = s.Concat(context.Background(), "object", parts)
			}
			if err != nil {
				t.Errorf("Concat: %v", err)
			}
			if info, err := s.Stat(context.Background(), "object"); err != nil || info.Size != int64(len(content)) {
				t.Errorf("Stat: %d bytes, %v; want %d", info.Size, err, len(content))
			}
		})
	}
	all.Wait()
	s.has("object", content)
}
