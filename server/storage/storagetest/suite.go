// Package storagetest states the rules of storage.Driver as a suite of tests.
// A driver's own test runs it over stores that it makes.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"opendev.org/zuul/zuul-registry/server/storage"
)

// Run runs the suite. Each call of create makes an empty store.
func Run(t *testing.T, create func(t *testing.T) storage.Driver) {
	tests := []struct {
		rule string
		test func(t *testing.T, s store)
	}{
		{"what is not there is fs.ErrNotExist", absent},
		{"an object is read as it was put", putAndOpen},
		{"an object is replaced whole or not at all", replace},
		{"a name does not lead out of the store", escape},
		{"an object can be read from any place", seek},
		{"an open object is read on while it is replaced and deleted", readOn},
		{"parts become an object", concat},
		{"an object may be empty", concatNothing},
		{"what was appended before an error counts", appendBroken},
		{"a caller may go back to earlier parts", goBack},
		{"a part is stored while the next one is taken", appendAhead},
		{"what was taken is stored, whoever goes", appendAndGo},
		{"a part can be read", openPart},
		{"parts that are lost make nothing", concatLost},
		{"parts are gone once they are an object's", partsGone},
		{"delete frees the name, twice if need be", deleteTwice},
		{"a directory is listed one level, sorted, after an entry", list},
		{"touch makes an object young", touch},
		{"what is old expires", expire},
		{"what is young stays", expireYoung},
		{"what is not there does not expire", expireNothing},
		{"who touches before it expires keeps it, and who comes second finds none", expireBesideTouch},
		{"who touches before storing loses nothing", expireBesideStore},
		{"parts are an object's as long as it is there", partsBelong},
		{"an object is renamed with its parts", rename},
		{"what is not there is not renamed", renameNothing},
		{"usage counts what there is", usage},
		{"puts and deletes side by side are harmless", sideBySide},
		{"one object concatenated twice at once is whole", concatAtOnce},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) { tt.test(t, store{t, create(t)}) })
	}
}

// store is a driver whose faults end the test.
type store struct {
	*testing.T
	storage.Driver
}

func (s store) put(name, content string) {
	s.Helper()
	if err := s.Put(context.Background(), name, strings.NewReader(content), storage.Durable); err != nil {
		s.Fatalf("Put %s: %v", name, err)
	}
}

func (s store) append(parts []storage.Part, content string) []storage.Part {
	s.Helper()
	more, err := Append(context.Background(), s.Driver, "segments/one", parts, strings.NewReader(content))
	if err != nil {
		s.Fatalf("Append: %v", err)
	}
	if got, want := storage.Size(more), storage.Size(parts)+int64(len(content)); got != want {
		s.Fatalf("the parts have %d bytes, want %d", got, want)
	}
	return more
}

// Append appends all of content, and waits until it is stored. Of an error the parts
// have what came before it.
func Append(ctx context.Context, d storage.Driver, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, error) {
	counted, before := &counter{content: content}, storage.Size(parts)
	for {
		more, stored, err := d.Append(ctx, directory, parts, counted)
		if fault := stored(); fault != nil {
			return parts, errors.Join(err, fault)
		}
		parts = more
		if got := storage.Size(parts) - before; err == nil && got != counted.n {
			err = fmt.Errorf("the parts have %d bytes more after %d were taken", got, counted.n)
		}
		if err != nil || counted.ended {
			return parts, err
		}
	}
}

type counter struct {
	content io.Reader
	n       int64
	ended   bool
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.content.Read(p)
	c.n += int64(n)
	c.ended = err != nil
	return n, err
}

func (s store) concat(name string, parts []storage.Part) {
	s.Helper()
	if err := s.Concat(context.Background(), name, parts); err != nil {
		s.Fatalf("Concat %s: %v", name, err)
	}
}

func (s store) delete(name string) {
	s.Helper()
	if err := s.Delete(context.Background(), name); err != nil {
		s.Fatalf("Delete %s: %v", name, err)
	}
}

func (s store) open(name string) io.ReadSeekCloser {
	s.Helper()
	f, _, err := s.Open(context.Background(), name)
	if err != nil {
		s.Fatalf("Open %s: %v", name, err)
	}
	s.Cleanup(func() { _ = f.Close() })
	return f
}

func (s store) read(r io.Reader) string {
	s.Helper()
	all, err := io.ReadAll(r)
	if err != nil {
		s.Fatalf("reading: %v", err)
	}
	return string(all)
}

// has asserts what an object holds.
func (s store) has(name, content string) {
	s.Helper()
	if got := s.read(s.open(name)); got != content {
		s.Errorf("%s holds %q, want %q", name, clip(got), clip(content))
	}
	if info, err := s.Stat(context.Background(), name); err != nil || info.Size != int64(len(content)) {
		s.Errorf("Stat %s: %d bytes, %v; want %d", name, info.Size, err, len(content))
	}
}

// lacks asserts that an object is not there.
func (s store) lacks(name string) {
	s.Helper()
	if _, err := s.Stat(context.Background(), name); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("Stat %s: %v, want fs.ErrNotExist", name, err)
	}
	if f, _, err := s.Open(context.Background(), name); !errors.Is(err, fs.ErrNotExist) {
		s.Errorf("Open %s: %v, want fs.ErrNotExist", name, err)
		if err == nil {
			_ = f.Close()
		}
	}
}

// entries are the paths that a directory lists.
func (s store) entries(directory, after string) []string {
	s.Helper()
	var names []string
	for e, err := range s.List(context.Background(), directory, after) {
		if err != nil {
			s.Fatalf("List %s: %v", directory, err)
		}
		names = append(names, e.Path())
	}
	return names
}

// objects are the names of all objects below a directory.
func (s store) objects(directory string) []string {
	s.Helper()
	var names []string
	for _, name := range s.entries(directory, "") {
		if below, ok := strings.CutSuffix(name, "/"); ok {
			names = append(names, s.objects(path.Join(directory, below))...)
		} else {
			names = append(names, path.Join(directory, name))
		}
	}
	return names
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// broken gives some content and then fails.
func broken(content string) io.Reader {
	return io.MultiReader(strings.NewReader(content), failing{})
}

var errBroken = errors.New("the client has gone")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }
