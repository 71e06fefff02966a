package swift_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/storagetest"
	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	faults := map[string]fault{
		"503": fails(503), "500": fails(500), "408": fails(408), "498": fails(498), "429": fails(429, "Retry-After", "0"),
		"cut": cut, "lost": lost,
	}
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup // which wait at the same time
			for name, f := range faults {
				s := pretend.New(t)
				d := prepared(t, s, 2)
				meet(s, op.meant, 1, f)
				all.Go(func() {
					if err := op.do(t.Context(), d); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if log := s.Log(); again(s) != 1 || !strings.Contains(log, op.named) {
						t.Errorf("%s: the log is %q, want one fault of %s", name, log, op.named)
					}
				})
			}
			all.Wait()
		})
	}
}

// Of two servers of Swift's that do not agree about the time, one may refuse what the
// other has done later, or take it and drop it: 202. To have been touched later is
// fine.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		method, _, _ := strings.Cut(op.meant, " ")
		status, want := map[string]int{"PUT": 202, "COPY": 202, "DELETE": 409, "POST": 409}[method], 1
		switch method {
		case "GET", "HEAD":
			continue
		case "POST":
			want = 0
			op.do = touched
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 1)
			meet(s, op.meant, 1, fails(status))
			if err := op.do(t.Context(), d); err != nil {
				t.Error(err)
			}
			if again(s) != want {
				t.Errorf("the log is %q, want %d faults", s.Log(), want)
			}
		})
	}
}

// What Swift refuses it is not asked for again.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		for _, status := range []int{400, 403, 413} {
			if status == 400 && (op.name == "Concat" || op.name == "Rename") {
				continue // may be of a part, see TestConcatLooksForPartsThatAreGone
			}
			t.Run(fmt.Sprint(op.name, "/", status), func(t *testing.T) {
				t.Parallel()
				s := pretend.New(t)
				d := prepared(t, s, 2)
				meet(s, op.meant, 1, fails(status))
				err := op.do(t.Context(), d)
				if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), op.named) || !strings.Contains(err.Error(), fmt.Sprint(status)) {
					t.Errorf("%v, want %d at %s", err, status, op.named)
				}
				if again(s) != 0 {
					t.Errorf("the log is %q", s.Log())
				}
			})
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 1)
			meet(s, op.meant, always, fails(503))
			if err := op.do(t.Context(), d); err == nil || !strings.Contains(err.Error(), op.named) || !strings.Contains(err.Error(), "503") {
				t.Errorf("%v, want 503 at %s", err, op.named)
			}
			got, want := count(s.Asked(), op.meant), 2
			if op.meant == "DELETE images/parts/" {
				want = 2 * 2 // of each of two
			}
			if got != want {
				t.Errorf("Swift was asked %d times, want %d", got, want)
			}
		})
	}
	for _, n := range []int{0, 2} {
		t.Run(fmt.Sprint(n, " retries"), func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, n)
			for name, f := range map[string]fault{"503": fails(503), "cut": cut} {
				meet(s, "PUT images/object", always, f)
				if err := d.Put(t.Context(), "object", strings.NewReader("x"), storage.Durable); err == nil {
					t.Errorf("%s: no error", name)
				}
				if got := count(s.Asked(), "PUT images/object"); got != n+1 {
					t.Errorf("%s: Swift was asked %d times, want %d", name, got, n+1)
				}
			}
		})
	}
}

// An object that is not there is fs.ErrNotExist, when Swift has said so twice. Where
// something should be stored or listed, 404 says that the container has gone.
func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 2)
			meet(s, op.meant, always, fails(404))
			want := 0
			switch err := op.do(t.Context(), d); op.name {
			case "Stat", "Open", "Touch":
				if want = 2; !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "d/object") {
					t.Errorf("%v, want fs.ErrNotExist of d/object", err)
				}
			case "Put", "Append", "Concat", "Concat of nothing", "List":
				if want = 1; err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), op.named) {
					t.Errorf("%v, want a fault at %s", err, op.named)
				}
			}
			if got := count(s.Asked(), op.meant); want > 0 && got != want {
				t.Errorf("Swift was asked %d times, want %d", got, want)
			}
			if again(s) != 0 {
				t.Errorf("the log is %q", s.Log())
			}
		})
	}
}

// While an object is replaced, Swift may miss it.
func TestOneMissIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		switch op.name {
		case "Put", "Append", "Concat", "Concat of nothing", "List":
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 0)
			meet(s, op.meant, 1, fails(404))
			err := op.do(t.Context(), d)
			// What is deleted need not have been there.
			if strings.HasPrefix(op.meant, "DELETE ") == (err == nil) {
				t.Error(err)
			}
		})
	}
}

// A PUT would become a GET, and the token go to whomever.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var strangers atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 2)
			meet(s, op.meant, always, fails(302, "Location", elsewhere.URL))
			if err := op.do(t.Context(), d); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), op.named) {
				t.Errorf("%v, want a fault at %s", err, op.named)
			}
			if again(s) != 0 {
				t.Errorf("the log is %q", s.Log())
			}
		})
	}
	t.Cleanup(func() {
		if n := strangers.Load(); n != 0 {
			t.Errorf("somebody else was asked %d times", n)
		}
	})
}

// What is no name is not asked for: it might be the container itself.
func TestWhatIsNoName(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	s.Asked()
	for _, name := range []string{"", "/d", "d/", "d//object", "../images", "d/../object"} {
		_, stat := d.Stat(t.Context(), name)
		_, _, open := d.Open(t.Context(), name)
		_, expire := d.Expire(t.Context(), name, time.Now())
		_, parts := d.Parts(t.Context(), name)
		for what, err := range map[string]error{
			"Stat": stat, "Open": open, "Delete": d.Delete(t.Context(), name), "Touch": d.Touch(t.Context(), name),
			"Expire": expire, "Parts": parts, "Rename from": d.Rename(t.Context(), name, "d"), "Rename to": d.Rename(t.Context(), "d", name),
			"Put": d.Put(t.Context(), name, strings.NewReader(""), storage.Durable), "Concat": d.Concat(t.Context(), name, nil),
		} {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s of %q: %v, want fs.ErrInvalid", what, name, err)
			}
		}
	}
	for _, directory := range []string{"", "/d", "d/"} {
		if _, err := names(t.Context(), d, directory, ""); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("List of %q: %v, want fs.ErrInvalid", directory, err)
		}
		parts, stored, err := d.Append(t.Context(), directory, nil, strings.NewReader("x"))
		if fault := stored(); !errors.Is(err, fs.ErrInvalid) || fault != nil || len(parts) != 0 {
			t.Errorf("Append below %q: %v, %v, want fs.ErrInvalid", directory, parts, err)
		}
	}
	if asked := s.Asked(); len(asked) != 0 {
		t.Errorf("Swift was asked %q", asked)
	}
}

// Swift may fail in the midst of a body, which is then still being sent.
func TestFaultsAmidABody(t *testing.T) {
	t.Parallel()
	for status, again := range map[int]int{401: 1, 503: 1, 403: 0} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := open(t, s, func(o *swift.Options) { o.Connections, o.PartSize, o.Retries = 1, 2*mebibyte, again })
			content := random(5 * mebibyte)
			var puts atomic.Int64
			s.Between(func(w http.ResponseWriter, r *http.Request) bool {
				if !is(called(r), "PUT images/parts/") || puts.Add(1) != 2 {
					return false
				}
				_, _ = io.CopyN(io.Discard, r.Body, mebibyte/2)
				fails(status)(s, w, r)
				return true
			})
			parts, err := storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader(content))
			if status == 403 { // or a connection that is cut; the memory is for others now
				if err == nil {
					t.Error("no error")
				}
				parts, err = storagetest.Append(t.Context(), d, "parts", nil, strings.NewReader(content))
			}
			if err := errors.Join(err, d.Concat(t.Context(), "object", parts), holds(t.Context(), d, "object", content)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Something in front of Swift may answer for it: that is no word on what is there.
func TestAMissOfAnother(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]func(ctx context.Context, d *swift.Driver) error{
		"Stat":   func(ctx context.Context, d *swift.Driver) error { _, err := d.Stat(ctx, "d/object"); return err },
		"Open":   func(ctx context.Context, d *swift.Driver) error { _, _, err := d.Open(ctx, "d/object"); return err },
		"Delete": func(ctx context.Context, d *swift.Driver) error { return d.Delete(ctx, "d/object") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := prepared(t, s, 1)
			s.Between(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Del("X-Trans-Id")
				http.Error(w, "no such backend", http.StatusNotFound)
				return true
			})
			if err := op(t.Context(), d); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v, want a fault", err)
			}
		})
	}
}
