package replicas

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"opendev.org/zuul/zuul-registry/tests/testbed"
)

// stubs stand for replicas.
type stubs struct {
	servers []*httptest.Server

	mu    sync.Mutex
	dies  bool            // who gets the next request breaks off, as one that is killed does
	taken []*http.Request // but for probes
}

func (s *stubs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || s.take(r) {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func (s *stubs) take(r *http.Request) (dies bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, r)
	dies, s.dies = s.dies, false
	return dies
}

// begin forgets what was taken.
func (s *stubs) begin(dies bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dies, s.taken = dies, nil
}

func (s *stubs) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

func startStubs(t *testing.T) (*stubs, *haproxy) {
	t.Helper()
	s := &stubs{}
	var addresses []string
	for range 3 {
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		s.servers = append(s.servers, server)
		addresses = append(addresses, server.Listener.Addr().String())
	}
	return s, startHAProxy(t, testbed.Open(t), loopback(0), addresses...)
}

// TestProxyRepeats holds HAProxy against what its configuration says of requests
// that found no replica, or lost it.
func TestProxyRepeats(t *testing.T) {
	stubs, h := startStubs(t)
	upload := "/v2/org/app/blobs/uploads/"
	digest := "?digest=sha256:" + strings.Repeat("0", 64)
	tests := []struct {
		rule         string
		method, path string
		body         string
		want         int
		times        int // that it reached a replica
	}{
		{"what only reads is repeated", http.MethodGet, "/v2/org/app/manifests/latest", "", 200, 2},
		{"and so is the question for it", http.MethodHead, "/v2/org/app/manifests/latest", "", 200, 2},
		{"an upload is begun anew", http.MethodPost, upload, "", 200, 2},
		{"a manifest is put again", http.MethodPut, "/v2/org/app/manifests/latest", "{}", 200, 2},
		{"an upload that brings the blob is not repeated", http.MethodPost, upload + digest, "blob", 502, 1},
		{"nor what goes on with one", http.MethodPatch, upload + "id", "part", 502, 1},
		{"nor what ends it", http.MethodPut, upload + "id" + digest, "", 502, 1},
		{"nor the removal of something", http.MethodDelete, "/v2/org/app/manifests/latest", "", 502, 1},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			stubs.begin(true)
			answer, body := h.send(t, tt.method, tt.path, tt.body)
			if answer.StatusCode != tt.want {
				t.Errorf("the answer is %s, want %d", answer.Status, tt.want)
			}
			if n := len(stubs.requests()); n != tt.times {
				t.Errorf("it came to a replica %d times, want %d", n, tt.times)
			}
			if tt.body != "" && tt.want == 200 && body != tt.body {
				t.Errorf("what came to it is %q", body)
			}
			if tt.want == 502 && answer.Header.Get("Content-Type") != "application/json" {
				t.Errorf("the error is of type %q", answer.Header.Get("Content-Type"))
			}
		})
	}
}

// TestProxyRedispatches: who finds nobody at one replica's port goes to another's,
// whatever it brings.
func TestProxyRedispatches(t *testing.T) {
	stubs, h := startStubs(t)
	stubs.servers[0].Close()
	const sent = 6
	for range sent {
		if answer, _ := h.send(t, http.MethodPut, "/v2/org/app/manifests/latest", "{}"); answer.StatusCode != http.StatusOK {
			t.Errorf("the answer is %s", answer.Status)
		}
	}
	if got := len(stubs.requests()); got != sent {
		t.Errorf("replicas got %d requests, want %d", got, sent)
	}
}

// TestProxyTellsReplicas: replicas learn from the proxy alone who asks, and where.
func TestProxyTellsReplicas(t *testing.T) {
	stubs, h := startStubs(t)
	h.send(t, http.MethodGet, "/v2/", "")
	told := stubs.requests()[0]
	for name, want := range map[string]string{
		"X-Forwarded-Proto": "https",
		"X-Forwarded-Host":  testbed.RegistryHost,
		"X-Forwarded-For":   "127.0.0.1",
	} {
		if got := told.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if told.Host != testbed.RegistryHost {
		t.Errorf("the host is %s", told.Host)
	}
}

// send sends a request that claims to have passed another proxy, and returns what
// comes.
func (h *haproxy) send(t *testing.T, method, path, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"elsewhere"}, "X-Forwarded-For": {"192.0.2.1"}}
	answer, err := h.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer, string(all)
}
