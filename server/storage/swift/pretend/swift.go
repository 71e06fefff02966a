// Package pretend is a Swift in the tests' own process, in which faults can be made.
// The real one is in the tests of the whole.
package pretend

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"
	"github.com/ncw/swift/v2/swifttest"

	"opendev.org/zuul/zuul-registry/server/storage/swift"
)

// account is what the paths of all containers begin with.
var account = "/v1/AUTH_" + swifttest.TEST_ACCOUNT + "/"

// Swift is the library's, and what stands in front of it. Make it with New.
type Swift struct {
	t       testing.TB
	front   *httptest.Server
	log     record
	forward *httputil.ReverseProxy
	one     sync.Mutex // the library's answers one at a time: its locks do not hold what they should
	stamps  map[string]time.Time

	mu     sync.Mutex
	asked  []string
	meddle func(http.ResponseWriter, *http.Request) bool
}

// New starts a Swift that ends with the test.
func New(t testing.TB) *Swift {
	t.Helper()
	server, err := swifttest.NewSwiftServer("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := &Swift{t: t, stamps: map[string]time.Time{}}
	own := new(http.Transport) // the default one is closed by each server that ends
	s.forward = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", target.Host },
		Transport: own,
	}
	s.front = httptest.NewServer(s)
	server.URL = s.front.URL + "/v1" // where it sends who has a token
	t.Cleanup(func() { s.front.Close(); own.CloseIdleConnections(); server.Close() })
	return s
}

// ServeHTTP makes Swift an http.Handler.
func (s *Swift) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Trans-Id", "tx-pretended") // all of Swift's answers have one
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+strings.TrimPrefix(r.URL.Path, account))
	meddle := s.meddle
	s.mu.Unlock()
	if meddle == nil || !meddle(w, r) {
		s.Forward(w, r)
	}
}

// Forward has Swift answer. The library's knows neither ranges of large objects nor
// conditions nor times, and breaks at a POST to an object that is not there.
func (s *Swift) Forward(w http.ResponseWriter, r *http.Request) {
	s.one.Lock()
	defer s.one.Unlock()
	asked := r.Clone(r.Context())
	asked.Header.Del("Range")
	asked.Header.Del("Expect") // a 100 would be taken for the answer
	switch isManifest := r.URL.Query().Get("multipart-manifest") == "put"; {
	case r.Method == http.MethodPost:
		asked.Method = http.MethodHead
	case r.Method == http.MethodPut && isManifest:
		if s.refuse(w, asked) {
			return
		}
	case r.Method == http.MethodPut: // or what was large remains so
		if r.Header.Get("If-None-Match") == "*" && s.object(r, http.MethodHead, r.URL.Path).Code == http.StatusOK {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		asked.Header.Set("X-Static-Large-Object", "False")
	case r.Method == "COPY":
		if s.refuseCopy(w, r) {
			return
		}
	}
	answer := s.ask(asked)
	s.stamp(r, answer.Code)
	if r.Method == http.MethodPost && answer.Code == http.StatusOK {
		answer.Code = http.StatusAccepted
	}
	s.send(w, r, answer)
}

// stamp notes when an object was stored or touched.
func (s *Swift) stamp(r *http.Request, status int) {
	switch {
	case status >= 300:
	case r.Method == http.MethodPut || r.Method == http.MethodPost:
		s.stamps[r.URL.Path] = time.Now()
	case r.Method == "COPY":
		to, err := url.PathUnescape(r.Header.Get("Destination"))
		if err != nil {
			s.t.Error(err)
		}
		s.stamps[account+to] = time.Now()
	case r.Method == http.MethodDelete:
		delete(s.stamps, r.URL.Path)
	}
}

// Age makes an object of the container images look older than it is.
func (s *Swift) Age(object string, by time.Duration) {
	s.one.Lock()
	defer s.one.Unlock()
	path := account + "images/" + object
	s.stamps[path] = s.stamps[path].Add(-by)
}

func (s *Swift) send(w http.ResponseWriter, r *http.Request, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	if at, ok := s.stamps[r.URL.Path]; ok {
		w.Header().Set("X-Timestamp", fmt.Sprintf("%d.%05d", at.Unix(), at.Nanosecond()/10_000))
	}
	first, body := 0, answer.Body.Bytes()
	if match := r.Header.Get("If-Match"); match != "" && answer.Code == http.StatusOK && strings.Trim(match, `"`) != strings.Trim(w.Header().Get("Etag"), `"`) {
		body, answer.Code = nil, http.StatusPreconditionFailed
	}
	if n, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first); n == 1 && err == nil && answer.Code == http.StatusOK {
		body, answer.Code = body[first:], http.StatusPartialContent
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

// Between has something come before Swift: when it returns true, instead of it.
func (s *Swift) Between(meddle func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meddle = meddle
}

// Asked is what Swift was asked since the last time, as "PUT images/object".
func (s *Swift) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// Log is what drivers have logged.
func (s *Swift) Log() string { return s.log.String() }

// Options are for a driver of the one account, with the smallest parts.
func (s *Swift) Options() swift.Options {
	return swift.Options{
		Account: &ncw.Connection{
			AuthUrl: s.front.URL + "/v1.0", AuthVersion: 1,
			UserName: swifttest.TEST_ACCOUNT, ApiKey: swifttest.TEST_ACCOUNT,
		},
		Container: "images", PartSize: swift.SmallestPart, Connections: 4, Retries: 3,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
}

// Open opens a driver with Options.
func (s *Swift) Open() *swift.Driver {
	s.t.Helper()
	d, err := swift.New(s.t.Context(), s.Options())
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// record is a log that can be read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
