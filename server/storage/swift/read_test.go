package swift_test

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

// until sends what is asked for up to a byte of the object, and hangs up.
func until(end int) fault { return untilThen(end, cut) }

func untilThen(end int, then fault) fault {
	return func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
		answer, begin := httptest.NewRecorder(), 0
		s.Forward(answer, r)
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &begin)
		for key, values := range answer.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()[:max(0, end-begin)])
		_ = http.NewResponseController(w).Flush()
		then(s, w, r)
	}
}

// piece sends these bytes as if they were what was asked for.
func piece(content string) fault {
	return func(_ *pretend.Swift, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, content)
	}
}

// whole sends all, whatever is asked for.
func whole(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Range")
	s.Forward(w, r)
}

// replaced has the object be another one from now on.
func replaced(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
	other := r.Clone(r.Context())
	other.Method, other.Body, other.ContentLength = http.MethodPut, io.NopCloser(strings.NewReader("other")), 5
	s.Forward(httptest.NewRecorder(), other)
	s.Forward(w, r)
}

func deletes(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
	gone := r.Clone(r.Context())
	gone.Method = http.MethodDelete
	s.Forward(httptest.NewRecorder(), gone)
	s.Forward(w, r)
}

// steps has each GET of the object meet the next fault, and those after the last what
// is there. It returns the ranges that were asked for.
func steps(s *pretend.Swift, faults ...fault) func() []string {
	var mu sync.Mutex
	var ranges []string
	s.Between(func(w http.ResponseWriter, r *http.Request) bool {
		if called(r) != "GET images/object" {
			return false
		}
		mu.Lock()
		at := len(ranges)
		ranges = append(ranges, strings.TrimPrefix(r.Header.Get("Range"), "bytes="))
		mu.Unlock()
		if match := r.Header.Get("If-Match"); (match == "") != (at == 0) || r.Header.Get("X-Newest") != "true" {
			http.Error(w, "If-Match: "+match, http.StatusTeapot)
			return true
		}
		if at >= len(faults) {
			return false
		}
		faults[at](s, w, r)
		return true
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return ranges
	}
}

func TestReadingGoesOn(t *testing.T) {
	t.Parallel()
	const size = 200_000
	content := random(size)
	for _, tt := range []struct {
		what   string
		faults []fault
		ranges []string
		fault  string // empty: all is read
		n      int    // of the bytes that are read
	}{
		{"whole", nil, []string{""}, "", size},
		{"cut before the first byte", []fault{until(0)}, []string{"", "0-"}, "", size},
		{"cut", []fault{until(50_000)}, []string{"", "50000-"}, "", size},
		{"cut at the last byte", []fault{until(size - 1)}, []string{"", "199999-"}, "", size},
		{"cut in what was asked for again", []fault{until(50_000), until(60_000)}, []string{"", "50000-", "60000-"}, "", size},
		{"cut often, and always further", []fault{until(1), until(2), until(3), until(4), until(5), until(6)},
			[]string{"", "1-", "2-", "3-", "4-", "5-", "6-"}, "", size},
		{"a fault when it asks again", []fault{until(50_000), fails(503)}, []string{"", "50000-", "50000-"}, "", size},
		{"too often at one place", []fault{until(50_000), until(0), until(0)}, []string{"", "50000-"}, "breaks off object at byte 50000 of 200000", 50_000},
		{"less than what was asked for", []fault{until(50_000), piece(content[50_000:150_000])}, []string{"", "50000-"}, "100000 bytes of object from 50000 on, and not 150000", 50_000},
		{"more than what was asked for", []fault{until(50_000), whole}, []string{"", "50000-"}, "200000 bytes of object from 50000 on, and not 150000", 50_000},
		{"replaced meanwhile", []fault{until(50_000), replaced}, []string{"", "50000-"}, "412", 50_000},
		{"deleted meanwhile", []fault{until(50_000), deletes}, []string{"", "50000-", "50000-"}, fs.ErrNotExist.Error(), 50_000},
		{"refused", []fault{until(50_000), fails(403)}, []string{"", "50000-"}, "403", 50_000},
	} {
		for kind, make := range map[string]func(d *swift.Driver){
			"plain": func(d *swift.Driver) { put(t, d, "object", content) },
			"large": func(d *swift.Driver) { link(t, d, "object", content[:70_000], content[70_000:]) },
		} {
			if kind == "large" && tt.what != "cut" && tt.what != "replaced meanwhile" {
				continue
			}
			t.Run(tt.what+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s := pretend.New(t)
				d := open(t, s, func(o *swift.Options) { unkept(o); o.Retries = 1 })
				make(d)
				ranges := steps(s, tt.faults...)
				f, info, err := d.Open(t.Context(), "object")
				if err != nil || info.Size != size || time.Since(info.Modified).Abs() > time.Minute {
					t.Fatal(info, err)
				}
				got, err := io.ReadAll(f)
				if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault) || !strings.Contains(err.Error(), "object")) {
					t.Errorf("%v, want %q", err, tt.fault)
				}
				if string(got) != content[:tt.n] {
					t.Errorf("%d bytes were read, want the first %d", len(got), tt.n)
				}
				if got := ranges(); !slices.Equal(got, tt.ranges) {
					t.Errorf("Swift was asked for %q, want %q", got, tt.ranges)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// What breaks off is logged once for each time.
func TestBreakingOffIsLogged(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(1))
	content := random(100_000)
	put(t, d, "object", content)
	steps(s, until(10_000), until(20_000))
	has(t, d, "object", content)
	log := s.Log()
	for _, place := range []string{"object at byte 10000 of 100000", "object at byte 20000 of 100000"} {
		if strings.Count(log, place) != 1 {
			t.Errorf("the log is %q: want %q once", log, place)
		}
	}
	if again(s) != 2 {
		t.Errorf("the log is %q: want two faults", log)
	}
}

// Seek is free, and Swift is asked for what is read from there, once.
func TestSeek(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	content := random(100_000)
	put(t, d, "object", content)
	ranges := steps(s)
	f, _, err := d.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, to := range []struct {
		offset int64
		whence int
		at     int64
	}{{0, io.SeekEnd, 100_000}, {-1, io.SeekEnd, 99_999}, {10, io.SeekStart, 10}, {10, io.SeekCurrent, 20}, {200_000, io.SeekStart, 200_000}, {0, io.SeekStart, 0}} {
		if at, err := f.Seek(to.offset, to.whence); at != to.at || err != nil {
			t.Errorf("Seek %d, %d: %d, %v; want %d", to.offset, to.whence, at, err, to.at)
		}
	}
	if at, err := f.Seek(-1, io.SeekStart); at != 0 || err == nil {
		t.Errorf("Seek before the beginning: %d, %v", at, err)
	}
	head := make([]byte, 100)
	if _, err := io.ReadFull(f, head); err != nil || string(head) != content[:100] {
		t.Errorf("it was not read on at the beginning: %v", err)
	}
	if got := ranges(); len(got) != 1 {
		t.Errorf("Swift was asked for %q before anything was read from elsewhere", got)
	}
	for _, at := range []int64{90_000, 5_000, 99_990} {
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			t.Error(err)
		}
		for range 5 {
			two := make([]byte, 2)
			if _, err := io.ReadFull(f, two); err != nil || string(two) != content[at:at+2] {
				t.Errorf("after Seek to %d: %v", at, err)
			}
			at += 2
		}
	}
	if n, err := f.Read(head); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d bytes, %v", n, err)
	}
	if _, err := f.Seek(1, io.SeekCurrent); err != nil {
		t.Error(err)
	}
	if n, err := f.Read(head); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d bytes, %v", n, err)
	}
	if got, want := ranges(), []string{"", "90000-", "5000-", "99990-"}; !slices.Equal(got, want) {
		t.Errorf("Swift was asked for %q, want %q", got, want)
	}
}

// What is small is read while it is opened: nothing keeps a connection, or breaks off
// later.
func TestSmallObjectsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	for _, size := range []int{0, 1, most, most + 1} {
		s := pretend.New(t)
		d := open(t, s, retries(1))
		content := random(size)
		put(t, d, "object", content)
		ranges := steps(s)
		f, info, err := d.Open(t.Context(), "object")
		if err != nil || info.Size != int64(size) {
			t.Fatal(info, err)
		}
		if err := d.Delete(t.Context(), "object"); err != nil {
			t.Error(err)
		}
		for range 2 {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(f)
			if size <= most && (err != nil || string(got) != content) {
				t.Errorf("%d bytes of %d, %v", len(got), size, err)
			}
		}
		if got := ranges(); size <= most && len(got) != 1 {
			t.Errorf("for %d bytes Swift was asked for %q", size, got)
		}
		if got := ranges(); size > most && len(got) == 1 {
			t.Errorf("for %d bytes Swift was asked for %q: want that they stay there", size, got)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSmallObjectsThatBreakOff(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(1))
	put(t, d, "object", "0123456789")
	ranges := steps(s, until(4))
	has(t, d, "object", "0123456789")
	if got, want := ranges(), []string{"", "4-"}; !slices.Equal(got, want) {
		t.Errorf("Swift was asked for %q, want %q", got, want)
	}
	steps(s, until(4), replaced)
	if _, _, err := d.Open(t.Context(), "object"); err == nil || !strings.Contains(err.Error(), "412") {
		t.Errorf("%v of one that was replaced meanwhile, want 412", err)
	}
}

// http.ServeContent leaves a Read behind where it sends several ranges and the client
// goes.
func TestCloseEndsARead(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := s.Open()
	content := random(100_000)
	put(t, d, "object", content)
	left := make(chan struct{})
	steps(s, untilThen(50_000, func(_ *pretend.Swift, _ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(left)
	}))
	f, _, err := d.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(f, make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := f.Read(make([]byte, 10))
		read <- err
	}()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err == nil || err == io.EOF {
		t.Errorf("the Read ended with %v", err)
	}
	<-left // the connection is not held
	if n, err := f.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("what is closed gives %d bytes, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// Who stops reading does not hold a connection, and nor does who reads elsewhere.
func TestTheRestIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(f io.ReadSeekCloser) error{
		"Close": io.ReadSeekCloser.Close,
		"Seek": func(f io.ReadSeekCloser) error {
			_, err := f.Seek(90_000, io.SeekStart)
			if _, fault := io.ReadAll(f); fault != nil {
				return fault
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pretend.New(t)
			d := s.Open()
			put(t, d, "object", random(100_000))
			left := make(chan struct{})
			steps(s, untilThen(50_000, func(_ *pretend.Swift, _ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(left)
			}))
			f, _, err := d.Open(t.Context(), "object")
			if err != nil {
				t.Fatal(err)
			}
			if err := leave(f); err != nil {
				t.Error(err)
			}
			<-left
			_ = f.Close()
		})
	}
}
