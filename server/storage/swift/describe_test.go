package swift_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/storage/swift/pretend"
)

func TestOpenWhatSwiftDoesNotDescribe(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	put(t, d, "object", "content")
	for what, change := range map[string]func(h http.Header){
		"no size": func(h http.Header) { h.Del("Content-Length") },
		"no time": func(h http.Header) { h.Del("X-Timestamp"); h.Del("Last-Modified") },
	} {
		steps(s, func(s *pretend.Swift, w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			s.Forward(answer, r)
			for key, values := range answer.Header() {
				w.Header()[key] = values
			}
			change(w.Header())
			w.WriteHeader(answer.Code)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(answer.Body.Bytes())
		})
		if _, _, err := d.Open(t.Context(), "object"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want a fault", what, err)
		}
	}
}

// Swift's own time is finer than that of HTTP.
func TestModified(t *testing.T) {
	t.Parallel()
	s := pretend.New(t)
	d := open(t, s, retries(0))
	put(t, d, "object", "content")
	http1 := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	for stamp, want := range map[string]time.Time{
		"1700000000.12345": time.Unix(1_700_000_000, 123_450_000), "1700000000.5": time.Unix(1_700_000_000, 500_000_000),
		"1700000000.123456789": time.Unix(1_700_000_000, 123_450_000), "1700000000.00001": time.Unix(1_700_000_000, 10_000),
		"": http1, "1700000000": http1, "soon.": http1, "1700000000.x": http1,
	} {
		meet(s, "HEAD images/object", always, func(_ *pretend.Swift, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			w.Header().Set("X-Timestamp", stamp)
			w.Header().Set("Last-Modified", http1.Format(http.TimeFormat))
		})
		if info, err := d.Stat(t.Context(), "object"); err != nil || info.Size != 7 || !info.Modified.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", stamp, info, err, want)
		}
	}
}
