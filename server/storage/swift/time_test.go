package swift_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
)

// ask asks Swift for one thing.
func ask(ctx context.Context, d *swift.Driver) error {
	return d.Put(ctx, "object", strings.NewReader(""), storage.Durable)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const least, most = 50 * time.Millisecond, 100 * time.Millisecond
	for value, want := range map[string][2]time.Duration{
		"1": {time.Second, time.Second}, "4": {4 * time.Second, 4 * time.Second}, "3600": {5 * time.Second, 5 * time.Second},
		"0": {least, most}, "-1": {least, most}, "soon": {least, most}, "": {least, most},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &there{}
			s.answer = func(*http.Request) (*http.Response, error) {
				if len(s.asked) > 1 {
					return says(201, ""), nil
				}
				return says(429, "", "Retry-After", value), nil
			}
			if err := ask(t.Context(), s.open(t, retries(1))); err != nil {
				t.Error(err)
			}
			if waits := s.waits(); len(waits) != 1 || waits[0] < want[0] || waits[0] > want[1] {
				t.Errorf("after %q it waits %v, want %v", value, waits, want)
			}
		})
	}
}

// Pauses grow, to an end.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: func(*http.Request) (*http.Response, error) { return says(503, ""), nil }}
		d := s.open(t, retries(1000))
		begin := time.Now()
		if err := ask(t.Context(), d); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("%v, want 503", err)
		}
		for i, wait := range s.waits() {
			most := min(100*time.Millisecond<<min(i, 10), 5*time.Second)
			if wait < most/2 || wait > most {
				t.Errorf("the pause %d is %v, want %v to %v", i, wait, most/2, most)
			}
		}
		if took := time.Since(begin); took < time.Minute || took > 66*time.Second {
			t.Errorf("it gives up after %v, want a minute", took)
		}
	})
}

// Who has gone does not wait.
func TestNobodyWaitsForWhoHasGone(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, d *swift.Driver) error{
		"Touch": func(ctx context.Context, d *swift.Driver) error { return d.Touch(ctx, "object") },
		"List": func(ctx context.Context, d *swift.Driver) error {
			_, err := names(ctx, d, "d", "")
			return err
		},
		"Open": func(ctx context.Context, d *swift.Driver) error {
			_, err := read(ctx, d, "object")
			return err
		},
		"Concat": func(ctx context.Context, d *swift.Driver) error { return d.Concat(ctx, "object", many(1)) },
	} {
		for what, answer := range map[string]func(*http.Request) (*http.Response, error){
			"a pause":      func(*http.Request) (*http.Response, error) { return says(503, "", "Retry-After", "5"), nil },
			"an answer":    hangs,
			"a body":       func(r *http.Request) (*http.Response, error) { return trickle(r, time.Hour, "[", "]"), nil },
			"a bad answer": func(*http.Request) (*http.Response, error) { return says(200, `[{"`), nil },
		} {
			if (name == "Touch" || name == "Concat") && (what == "a body" || what == "a bad answer") {
				continue // which have none
			}
			synctest.Test(t, func(t *testing.T) {
				s := &there{answer: answer}
				d := s.open(t, retries(1000))
				ctx, leave := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, leave)
				begin := time.Now()
				if err := do(ctx, d); err == nil {
					t.Errorf("%s that waits for %s: no error", name, what)
				}
				if took := time.Since(begin); took > time.Millisecond {
					t.Errorf("%s that waits for %s goes on for %v", name, what, took)
				}
			})
		}
	}
}

// An attempt has failed when nothing is heard of it.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, d *swift.Driver) error{
		"Stat": func(ctx context.Context, d *swift.Driver) error {
			_, err := d.Stat(ctx, "object")
			return err
		},
		"Append": func(ctx context.Context, d *swift.Driver) error {
			_, err := storagetest.Append(ctx, d, "parts", nil, strings.NewReader("content"))
			return err
		},
		"Open": func(ctx context.Context, d *swift.Driver) error { return holds(ctx, d, "object", "content") },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &there{}
			s.answer = func(r *http.Request) (*http.Response, error) {
				switch {
				case len(s.asked) == 1:
					return hangs(r)
				case r.Method == http.MethodPut:
					return takes(r)
				}
				return says(200, "content", "Etag", "e", "X-Timestamp", "1700000000.00000"), nil
			}
			d := s.open(t, retries(1))
			begin := time.Now()
			if err := do(t.Context(), d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begin); took < 30*time.Second || took > 31*time.Second {
				t.Errorf("%s takes %v, want half a minute", name, took)
			}
			if log := s.log.String(); !strings.Contains(log, "no answer in time") || strings.Count(log, "asked again") != 1 {
				t.Errorf("%s: the log is %q", name, log)
			}
		})
	}
}

// A body that falls silent is asked for again from there.
func TestSilenceAmidABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		content, from := random(100_000), ""
		s := &there{}
		s.answer = func(r *http.Request) (*http.Response, error) {
			if len(s.asked) > 1 {
				from = r.Header.Get("Range")
				return says(206, content[10:], "Etag", "e"), nil
			}
			a := trickle(r, time.Second, content[:10])
			a.Header.Set("Content-Length", fmt.Sprint(len(content)))
			a.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(a.Body, 10), silent{r.Context()}), a.Body}
			return a, nil
		}
		if err := holds(t.Context(), s.open(t, retries(1)), "object", content); err != nil {
			t.Error(err)
		}
		if waits := s.waits(); len(waits) != 1 || waits[0] < 31*time.Second || waits[0] > 32*time.Second || from != "bytes=10-" {
			t.Errorf("after %v it asked for %q", waits, from)
		}
	})
}

// What is slow is not silent.
func TestSlowIsFine(t *testing.T) {
	t.Parallel()
	const pause = 29 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: func(r *http.Request) (*http.Response, error) { return trickle(r, pause, "sl", "ow", "ly"), nil }}
		if err := holds(t.Context(), s.open(t, retries(0)), "object", "slowly"); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			for range 3 {
				if _, err := io.CopyN(io.Discard, r.Body, mebibyte/4); err != nil {
					return nil, err
				}
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return takes(r)
		}}
		if _, err := storagetest.Append(t.Context(), s.open(t, retries(0)), "parts", nil, strings.NewReader(random(mebibyte))); err != nil {
			t.Error(err)
		}
	})
}

// A reader who takes his time is not Swift's fault.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		content := random(100_000)
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			a := says(200, content, "Etag", "e", "X-Timestamp", "1700000000.00000")
			a.Body = lasting{r.Context(), a.Body}
			return a, nil
		}}
		f, _, err := s.open(t, retries(0)).Open(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 50_000)
		if _, err := io.ReadFull(f, head); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if rest, err := io.ReadAll(f); err != nil || string(head)+string(rest) != content || len(s.asked) != 1 {
			t.Errorf("%d bytes, %v, after %d requests", len(rest), err, len(s.asked))
		}
		_ = f.Close()
	})
}

// A client who takes his time holds no request of Swift's.
func TestSlowContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: takes}
		d := s.open(t, retries(0))
		content, more := io.Pipe()
		go func() {
			for range 3 {
				_, _ = io.WriteString(more, "content")
				time.Sleep(time.Hour)
			}
			_ = more.Close()
		}()
		if parts, err := storagetest.Append(t.Context(), d, "parts", nil, content); err != nil || storage.Size(parts) != 21 {
			t.Errorf("parts %v, %v", parts, err)
		}
	})
}

// To make an object of many parts, Swift looks at each.
func TestConcatOfManyMayTakeLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Minute):
				return takes(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}}
		d := s.open(t, retries(0))
		if err := d.Concat(t.Context(), "object", many(1000)); err != nil {
			t.Error(err)
		}
		if err := d.Concat(t.Context(), "object", many(10)); err == nil {
			t.Error("a few parts may take as long")
		}
	})
}

// A user may be locked out who is refused often.
func TestRefusedLoginsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: func(*http.Request) (*http.Response, error) { return says(401, ""), nil }}
		d := s.open(t, retries(3))
		s.refuses, s.logins = true, 0
		for _, want := range []int{2, 2, 4, 4} { // the library tries twice
			for range 5 {
				if err := ask(t.Context(), d); err == nil || !strings.Contains(err.Error(), "http://swift/auth") {
					t.Errorf("%v, want that the login is refused", err)
				}
				time.Sleep(time.Second)
			}
			if s.logins != want {
				t.Errorf("%d logins are tried, want %d", s.logins, want)
			}
		}
		s.refuses, s.answer = false, func(*http.Request) (*http.Response, error) { return says(201, ""), nil }
		time.Sleep(10 * time.Second)
		if err := ask(t.Context(), d); err != nil {
			t.Errorf("when it is not refused any more: %v", err)
		}
	})
}

// Close finds the Read where it waits.
func TestCloseBesideARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			a := trickle(r, time.Hour, "never")
			a.Header.Set("Content-Length", "100000")
			return a, nil
		}}
		f, _, err := s.open(t, retries(1000)).Open(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		var read error
		go func() { _, read = f.Read(make([]byte, 10)) }()
		synctest.Wait()
		begin := time.Now()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if read == nil || read == io.EOF || time.Since(begin) != 0 {
			t.Errorf("the Read ended with %v, after %v", read, time.Since(begin))
		}
	})
}

// Who opens a large object and reads later is not taken for Swift that is silent.
func TestReaderThatBeginsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		content := random(100_000)
		s := &there{answer: func(r *http.Request) (*http.Response, error) {
			a := says(200, content, "Etag", "e", "X-Timestamp", "1700000000.00000")
			a.Body = lasting{r.Context(), a.Body}
			return a, nil
		}}
		f, _, err := s.open(t, retries(0)).Open(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if all, err := io.ReadAll(f); err != nil || string(all) != content || len(s.asked) != 1 {
			t.Errorf("%d bytes, %v, after %d requests", len(all), err, len(s.asked))
		}
		_ = f.Close()
	})
}
