package swift_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// Memory is given back when a part cannot be stored, or nothing came.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, func(o *swift.Options) { o.Connections, o.Retries = 1, 0 })
	content := random(mebibyte)
	meet(s, "PUT images/parts/", always, fails(403))
	for range 20 {
		if _, err := storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader(content)); err == nil || !strings.Contains(err.Error(), "403") {
			t.Fatalf("%v, want 403", err)
		}
	}
	for range 20 {
		if _, _, err := d.Append(t.Context(), "parts", nil, breaking("")); !errors.Is(err, errGone) {
			t.Fatal(err)
		}
		if _, _, err := d.Append(t.Context(), "parts", nil, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	s.Between(nil)
	link(t, d, "object", content)
	has(t, d, "object", content)
}

// Who holds memory and gets no more makes a part of what he has: he must not wait for
// those who wait for him.
func TestMemoryForWhoComesLate(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, func(o *swift.Options) { o.Connections, o.PartSize = 1, 2*mebibyte })
	slow, more := io.Pipe()
	type result struct {
		parts []storage.Part
		err   error
	}
	first := make(chan result)
	go func() {
		parts, err := storagetest.Append(t.Context(), d, "slow", nil, slow)
		first <- result{parts, err}
	}()
	begin, rest, content := random(10), random(3*mebibyte), random(3*mebibyte+7)
	for _, some := range []string{begin[:5], begin[5:]} { // when the second is taken, it has one of two chunks
		if _, err := io.WriteString(more, some); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := storagetest.Append(t.Context(), d, "quick", nil, strings.NewReader(content))
	if got, want := sizes(parts), []int64{mebibyte, mebibyte, mebibyte, 7}; err != nil || !slices.Equal(got, want) {
		t.Errorf("the parts have %v bytes, %v; want %v", got, err, want)
	}
	go func() {
		_, _ = io.WriteString(more, rest)
		_ = more.Close()
	}()
	got := <-first
	if got.err != nil {
		t.Fatal(got.err)
	}
	for name, all := range map[string][]storage.Part{"slow": got.parts, "quick": parts} {
		if err := d.Concat(t.Context(), name, all); err != nil {
			t.Error(err)
		}
	}
	has(t, d, "slow", begin+rest)
	has(t, d, "quick", content)
}

// However many there are, they get along with what memory there is, and with whole
// chunks.
func TestManyUploadsShareMemory(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, func(o *swift.Options) { o.Connections, o.PartSize = 1, 3*mebibyte })
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			name, content := fmt.Sprint("object", i), strings.Repeat(fmt.Sprint(i), 2*mebibyte+i)
			parts, err := storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader(content))
			if err != nil {
				t.Error(err)
				return
			}
			for _, p := range parts[:len(parts)-1] {
				if p.Size%mebibyte != 0 {
					t.Errorf("a part has %d bytes, want whole chunks", p.Size)
				}
			}
			if err := errors.Join(d.Concat(t.Context(), name, parts), holds(t.Context(), d, name, content)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Where there is memory for one part, the next waits until it is stored.
func TestMemoryIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			<-gate
			return takes(r)
		}}
		d := s.open(t, retries(0))
		content := strings.NewReader(random(2 * mebibyte))
		parts, first, err := d.Append(t.Context(), "parts", nil, content)
		if err != nil || len(parts) != 1 {
			t.Fatal(parts, err)
		}
		var second storage.Stored
		go func() {
			if parts, second, err = d.Append(t.Context(), "parts", parts, content); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if taken := mebibyte - content.Len(); taken > 1<<10 {
			t.Errorf("%d bytes of the next part are taken, while there is no memory", taken)
		}
		gate <- struct{}{}
		if err := first(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(parts) != 2 || content.Len() != 0 {
			t.Fatalf("there are %d parts, and %d bytes left", len(parts), content.Len())
		}
		gate <- struct{}{}
		if err := second(); err != nil {
			t.Error(err)
		}
	})
}

// What sends a part may not have ended when its answer is there. The memory is for
// others then.
func TestPartsAreNotReadWhenTheirRequestHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies []io.Reader
		s := &there{}
		s.answer = func(r *http.Request) (*http.Response, error) {
			if bodies = append(bodies, r.Body); len(bodies) == 1 {
				_, err := io.CopyN(io.Discard, r.Body, 3)
				return says(503, ""), err
			}
			content, err := io.ReadAll(r.Body)
			if string(content) != "content" {
				t.Errorf("the second time it sends %q", content)
			}
			return says(201, ""), err
		}
		d := s.open(t, retries(1))
		if _, err := storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader("content")); err != nil {
			t.Error(err)
		}
		for i, body := range bodies {
			if rest, err := io.ReadAll(body); err == nil || len(rest) != 0 {
				t.Errorf("after the answer to the attempt %d, %q is read, %v", i, rest, err)
			}
		}
	})
}

// Who goes while he waits for memory leaves no part, and holds up nobody.
func TestWhoWaitsForMemoryGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			<-gate
			return takes(r)
		}}
		d := s.open(t, retries(0))
		first, stored, err := d.Append(t.Context(), "parts", nil, strings.NewReader("first"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		parts, nothing, err := d.Append(ctx, "parts", first, strings.NewReader("second"))
		if fault := nothing(); !errors.Is(err, context.Canceled) || fault != nil || len(parts) != 1 {
			t.Errorf("parts %v, %v, stored %v; want the first, and that he has gone", parts, err, fault)
		}
		close(gate)
		if err := stored(); err != nil {
			t.Error(err)
		}
		if _, err := storagetest.Append(t.Context(), d, "parts", first, strings.NewReader("third")); err != nil {
			t.Error(err)
		}
	})
}

// Nothing needs no memory: not even to wait for it.
func TestNothingNeedsNoMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			<-gate
			return takes(r)
		}}
		d := s.open(t, retries(0))
		_, stored, err := d.Append(t.Context(), "parts", nil, strings.NewReader("all there is"))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		time.AfterFunc(time.Second, func() { close(gate) })
		for _, content := range []io.Reader{strings.NewReader(""), breaking("")} {
			if parts, nothing, err := d.Append(t.Context(), "parts", nil, content); len(parts) != 0 || nothing() != nil || err != nil && !errors.Is(err, errGone) {
				t.Errorf("parts %v, %v", parts, err)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("it waited %v", waited)
		}
		if err := stored(); err != nil {
			t.Error(err)
		}
	})
}

// Small parts share the memory of a large one, and are sent as many at once as there
// are connections.
func TestPartsAreSentSoManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			<-gate
			return takes(r)
		}}
		d := s.open(t, func(o *swift.Options) { o.Connections, o.PartSize = 2, 4*mebibyte })
		var stored []storage.Stored
		for range 5 {
			_, wait, err := d.Append(t.Context(), "parts", nil, strings.NewReader("small"))
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, wait)
		}
		for i := range stored {
			synctest.Wait()
			if want := min(len(stored), i+2); len(s.asked) != want {
				t.Errorf("when %d parts are stored, %d are sent, want %d", i, len(s.asked), want)
			}
			gate <- struct{}{}
		}
		for _, wait := range stored {
			if err := wait(); err != nil {
				t.Error(err)
			}
		}
	})
}
