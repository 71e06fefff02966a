package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/access"
	"opendev.org/zuul/zuul-registry/server/web"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// lines are the records so far.
func (j *journal) lines(t *testing.T) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []map[string]any
	for line := range bytes.Lines(j.text.Bytes()) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, record)
	}
	return all
}

type options = web.Options

func chain(h http.HandlerFunc, change func(*options)) (http.Handler, *journal) {
	return chainOf(web.Routes{Rest: h, Paths: map[string]web.Route{"/healthz": {Name: "healthz", Handler: h}}}, change)
}

func chainOf(routes web.Routes, change func(*options)) (http.Handler, *journal) {
	j := &journal{}
	o := options{
		Log:      slog.New(web.LogHandler(slog.NewJSONHandler(j, nil))),
		Identify: func(*http.Request) access.Grant { return access.Writer.Grant("ann") },
		Describe: func(*http.Request) (string, []slog.Attr) {
			return "there", []slog.Attr{slog.String("name", "org/app")}
		},
		Idle: time.Minute,
	}
	if change != nil {
		change(&o)
	}
	return web.Chain(routes, o), j
}

func TestOneLineARequest(t *testing.T) {
	h, j := chain(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("12345"))
	}, nil)
	r := httptest.NewRequest(http.MethodPut, "/v2/x", strings.NewReader("123"))
	r.Header.Set("User-Agent", "docker/20.10.24 go/go1.19 (linux)")
	r.Header.Set("Authorization", "Bearer very-secret")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	lines := j.lines(t)
	if len(lines) != 1 {
		t.Fatalf("%d lines, want 1", len(lines))
	}
	for key, want := range map[string]any{"method": "PUT", "name": "org/app", "status": 201.0, "sent": 5.0, "received": 3.0,
		"user": "ann", "client": "docker/20.10.24", "request": w.Header().Get("X-Request-Id")} {
		if lines[0][key] != want {
			t.Errorf("%s is %v, want %v", key, lines[0][key], want)
		}
	}
	if strings.Contains(j.text.String(), "very-secret") {
		t.Error("the log holds a token")
	}
	if w.Header().Get("Docker-Distribution-Api-Version") != "registry/2.0" {
		t.Error("the answer does not say which API it speaks")
	}
}

func TestProbesAreQuiet(t *testing.T) {
	status := http.StatusOK
	h, j := chain(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, nil)
	ask := func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, web.ReadyPath, nil)) }
	ask()
	if n := len(j.lines(t)); n != 0 {
		t.Errorf("%d lines of a probe that finds all well, want none", n)
	}
	status = http.StatusServiceUnavailable
	ask()
	if n := len(j.lines(t)); n != 1 {
		t.Errorf("%d lines of a probe that finds a fault, want 1", n)
	}
}

func TestPanic(t *testing.T) {
	h, j := chain(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		}
		panic("a fault")
	}, nil)
	s := httptest.NewServer(h)
	defer s.Close()
	s.Client().Transport.(*http.Transport).DisableKeepAlives = true // or it would try again

	answer, err := s.Client().Get(s.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "UNKNOWN") || strings.Contains(string(body), "a fault\n") {
		t.Errorf("a panic is answered %s %s", answer.Status, body)
	}
	answer, err = s.Client().Get(s.URL + "/late")
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
	}
	if err == nil {
		t.Error("an answer that a panic cut short looks whole")
	}
	stacks := 0
	for _, line := range j.lines(t) {
		if stack, ok := line["stack"].(string); ok && strings.Contains(stack, "TestPanic") && line["request"] != nil {
			stacks++
		}
	}
	if stacks != 2 {
		t.Errorf("the log has %d stacks, want 2", stacks)
	}
}

// A file goes out whole, counted, and over plain HTTP by the kernel.
func TestFilesAreSentAndCounted(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // two pieces
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	h, j := chain(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = f.Close() }()
		http.ServeContent(w, r, "", time.Time{}, f)
	}, nil)
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		s := start(h)
		r, _ := http.NewRequest(http.MethodGet, s.URL, nil)
		r.Header.Set("Range", "bytes=7-")
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || !bytes.Equal(got, content[7:]) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(content)-7)
		}
		s.Close()
	}
	for _, line := range j.lines(t) {
		if line["sent"] != float64(len(content)-7) {
			t.Errorf("the log says %v bytes, want %d", line["sent"], len(content)-7)
		}
	}
}

const idle = 50 * time.Millisecond

// idleServer serves over TLS, with little patience.
func idleServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	c, _ := chain(h, func(o *options) { o.Idle = idle })
	s := httptest.NewTLSServer(c)
	t.Cleanup(s.Close)
	return s
}

// send sends a request, or a part of one, on a connection of its own.
func send(t *testing.T, s *httptest.Server, request string) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that stops sending does not hold its request for ever, and one that
// has sent all is not cut off while the server is slow.
func TestClientsThatStopSending(t *testing.T) {
	read := make(chan error, 1)
	s := idleServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
		if r.ContentLength == 1 { // and now the server is slow
			select {
			case <-r.Context().Done():
				t.Error("a request was cut off that the server had not finished")
			case <-time.After(4 * idle):
			}
		}
	})
	send(t, s, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading from a client that has stalled: %v, want a timeout", err)
	}
	patient := send(t, s, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	if err := <-read; err != nil {
		t.Error(err)
	}
	if _, err := patient.Read(make([]byte, 1)); err != nil {
		t.Errorf("no answer: %v", err)
	}
}

// A body that no handler reads is not waited for longer.
func TestBodiesThatNobodyReads(t *testing.T) {
	s := idleServer(t, func(http.ResponseWriter, *http.Request) {})
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		c := send(t, s, request)
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q is not ended", request)
		}
	}
}

// A connection may rest between two requests for longer.
func TestConnectionsRest(t *testing.T) {
	s := idleServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) })
	c := send(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	answers := bufio.NewReader(c)
	for range 3 {
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("after a rest: %v", err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		<-time.After(2 * idle) // the rest
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHealth(t *testing.T) {
	var fault error
	ready := web.Ready(slog.New(slog.DiscardHandler), func(context.Context) error { return fault })
	h, _ := chainOf(web.Routes{Rest: http.NotFoundHandler(), Paths: map[string]web.Route{
		web.HealthyPath: {Name: "healthz", Handler: http.HandlerFunc(web.Healthy)},
		web.ReadyPath:   {Name: "readyz", Handler: ready},
	}}, nil)
	ask := func(path string, want int) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want || strings.Contains(w.Body.String(), "disk") {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	ask(web.HealthyPath, http.StatusOK)
	ask(web.ReadyPath, http.StatusOK)
	fault = errors.New("the disk has gone")
	ask(web.HealthyPath, http.StatusOK)
	ask(web.ReadyPath, http.StatusServiceUnavailable)
	ask("/elsewhere", http.StatusNotFound)
}

func TestProxyHeadersAreBelievedBehindAProxy(t *testing.T) {
	for _, behind := range []bool{true, false} {
		var scheme string
		h, j := chain(func(_ http.ResponseWriter, r *http.Request) { scheme = r.URL.Scheme }, func(o *options) { o.BehindProxy = behind })
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if believed := scheme == "https" && j.lines(t)[0]["address"] == "192.0.2.1"; believed != behind {
			t.Errorf("behind a proxy %v: scheme %q, %v", behind, scheme, j.lines(t))
		}
	}
}
