package swift_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncw/swift/v2/swifttest"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

const mebibyte = 1 << 20

// open opens a driver with other options.
func open(t *testing.T, s *pretend.Swift, change func(*swift.Options)) *swift.Driver {
	t.Helper()
	o := s.Options()
	change(&o)
	d, err := swift.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func retries(n int) func(*swift.Options) { return func(o *swift.Options) { o.Retries = n } }

func put(t *testing.T, d *swift.Driver, name, content string) {
	t.Helper()
	if err := d.Put(t.Context(), name, strings.NewReader(content), storage.Durable); err != nil {
		t.Fatal(err)
	}
}

// store appends each content as a part of its own, under “parts”.
func store(t *testing.T, d *swift.Driver, contents ...string) []storage.Part {
	t.Helper()
	var parts []storage.Part
	for _, content := range contents {
		var err error
		if parts, err = storagetest.Append(t.Context(), d, "parts", parts, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	return parts
}

// link stores a large object.
func link(t *testing.T, d *swift.Driver, name string, contents ...string) []storage.Part {
	t.Helper()
	parts := store(t, d, contents...)
	if err := d.Concat(t.Context(), name, parts); err != nil {
		t.Fatal(err)
	}
	return parts
}

// read is what an object holds.
func read(ctx context.Context, d *swift.Driver, name string) (string, error) {
	f, info, err := d.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	all, err := io.ReadAll(f)
	if err == nil && int64(len(all)) != info.Size {
		err = fmt.Errorf("%s has %d bytes, and is said to have %d", name, len(all), info.Size)
	}
	return string(all), err
}

// holds is an error unless an object holds that.
func holds(ctx context.Context, d *swift.Driver, name, content string) error {
	got, err := read(ctx, d, name)
	if err == nil && got != content {
		err = fmt.Errorf("%s holds %d bytes that are not the %d wanted", name, len(got), len(content))
	}
	return err
}

// has asserts it.
func has(t *testing.T, d *swift.Driver, name, content string) {
	t.Helper()
	if err := holds(t.Context(), d, name, content); err != nil {
		t.Error(err)
	}
}

// names is what a directory lists.
func names(ctx context.Context, d *swift.Driver, directory, after string) ([]string, error) {
	var all []string
	for e, err := range d.List(ctx, directory, after) {
		if err != nil {
			return all, err
		}
		all = append(all, e.Path())
	}
	return all, nil
}

// called is a request as pretend's Asked has it.
func called(r *http.Request) string {
	return r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/AUTH_"+swifttest.TEST_ACCOUNT+"/")
}

// is says whether a request is the one that is meant, or one below it where it ends in
// a slash.
func is(call, meant string) bool {
	return call == meant || strings.HasSuffix(meant, "/") && strings.HasPrefix(call, meant)
}

// count is how many of the requests are those meant.
func count(asked []string, meant string) (n int) {
	for _, call := range asked {
		if is(call, meant) {
			n++
		}
	}
	return n
}

// fault is what comes in place of an answer.
type fault func(s *pretend.Swift, w http.ResponseWriter, r *http.Request)

func fails(status int, headers ...string) fault {
	return func(_ *pretend.Swift, w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// cut closes the connection before anything was done.
func cut(*pretend.Swift, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// lost does so after it was done.
func lost(s *pretend.Swift, _ http.ResponseWriter, r *http.Request) {
	s.Forward(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

const always = 1 << 30

// meet has the first few of the requests that are meant meet a fault.
func meet(s *pretend.Swift, meant string, times int, f fault) {
	var met atomic.Int64
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if !is(called(r), meant) || met.Add(1) > int64(times) {
			return false
		}
		f(s, w, r)
		return true
	})
}

// unkept has a connection for each request: net/http asks again by itself where one
// that was kept is found closed.
func unkept(o *swift.Options) {
	o.Account.Transport = &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Second}
}

// again is how often a driver has logged that it asks again.
func again(s *pretend.Swift) int { return strings.Count(s.Log(), `msg="Swift is asked again"`) }

// note has a look at the requests that are meant, before they go on.
func note(s *pretend.Swift, meant string, look func(r *http.Request)) {
	s.Between(func(_ http.ResponseWriter, r *http.Request) bool {
		if is(called(r), meant) {
			look(r)
		}
		return false
	})
}

// random is content that does not repeat itself.
func random(size int) string {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	return string(content)
}

// many are parts that nobody has stored.
func many(n int) (parts []storage.Part) {
	for i := range n {
		parts = append(parts, storage.Part{Name: fmt.Sprintf("parts/%04d", i), Size: 1})
	}
	return parts
}
