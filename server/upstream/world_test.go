package upstream_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// there is somebody else's registry.
type there struct {
	*testing.T
	*httptest.Server

	mu    sync.Mutex
	asked []*http.Request
}

// serve starts a registry that answers as it is told.
func serve(t *testing.T, answer http.HandlerFunc) *there {
	s := &there{T: t}
	s.Server = httptest.NewServer(s.noting(answer))
	t.Cleanup(s.Server.Close)
	return s
}

func (s *there) noting(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Clone(r.Context()))
		s.mu.Unlock()
		answer(w, r)
	}
}

// address is its host and port.
func (s *there) address() string { return strings.SplitN(s.URL, "//", 2)[1] }

// requests are those since the last time.
func (s *there) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return s.asked
}

// wasAsked asserts which requests there were since the last time, as "GET /v2/…".
func (s *there) wasAsked(want ...string) {
	s.Helper()
	var got []string
	for _, r := range s.requests() {
		got = append(got, r.Method+" "+r.URL.Path)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("the upstream was asked\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// with changes the options of a client.
type with func(*upstream.Options)

// open is a client of the registry, for which example.org stands.
func (s *there) open(changes ...with) *upstream.Registry {
	s.Helper()
	o := upstream.Options{
		URLs: map[string]string{"example.org": s.URL}, Timeout: 10 * time.Second,
		UserAgent: "zuul-registry/test", Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&o)
	}
	all, err := upstream.Open(o)
	if err != nil {
		s.Fatal(err)
	}
	return all["example.org"]
}

// patience is the timeout of tests that wait for it.
func patience(d time.Duration) with { return func(o *upstream.Options) { o.Timeout = d } }

// logging has the log written to text.
func logging(text *record) with {
	return func(o *upstream.Options) { o.Log = slog.New(slog.NewTextHandler(text, nil)) }
}

// credentials are those of a file.
func credentials(t *testing.T, path string) with {
	return func(o *upstream.Options) {
		var err error
		if o.Credentials, err = upstream.OpenCredentials(path, o.Log); err != nil {
			t.Fatal(err)
		}
	}
}

// authFile writes a Docker config file with a user for each key.
func authFile(t *testing.T, path string, users map[string]string) string {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "config.json")
	}
	auths := map[string]map[string]string{}
	for key, user := range users {
		auths[key] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// record is a log that can be read while it is written.
type record struct {
	mu   sync.Mutex
	text strings.Builder
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

// image is a manifest of no layers, and one its digest.
var (
	image       = `{"mediaType":"` + oci.MediaTypeImageManifest + `","config":{"mediaType":"x","size":2,"digest":"` + oci.SHA256.Sum([]byte("{}")).String() + `"},"layers":[]}`
	imageDigest = oci.SHA256.Sum([]byte(image))
)

// sendsImage answers with the image.
func sendsImage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", oci.MediaTypeImageManifest)
	w.Header().Set("Docker-Content-Digest", imageDigest.String())
	w.Header().Set("Content-Length", fmt.Sprint(len(image)))
	_, _ = w.Write([]byte(image))
}

// fails answers with a status, and headers by name and value.
func fails(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// tag is a reference by tag, or by digest.
func tag(t *testing.T, text string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// is asserts the code of an error, and that its message keeps to itself how the
// upstream is reached.
func is(t *testing.T, err error, code oci.Code) {
	t.Helper()
	fault, ok := oci.AsError(err)
	if !ok || fault.Code != code {
		t.Errorf("%v, want %s", err, code)
		return
	}
	if strings.Contains(fault.Message, "127.0.0.1") || !strings.Contains(fault.Message, "example.org") {
		t.Errorf("the user is told %q", fault.Message)
	}
	if code == oci.Unavailable && fault.Cause == nil {
		t.Errorf("the log is not told why: %v", err)
	}
	for _, other := range []oci.Code{oci.ManifestUnknown, oci.ManifestInvalid, oci.BlobUnknown, oci.NameUnknown, oci.DigestInvalid} {
		if other != code && errors.Is(err, other) {
			t.Errorf("%v is %s, too", err, other)
		}
	}
}

// gives asserts that a manifest is the image.
func gives(t *testing.T, r *upstream.Registry, ref string) {
	t.Helper()
	m, err := r.GetManifest(t.Context(), "org/app", tag(t, ref))
	if err != nil || string(m.Content) != image || m.Digest != imageDigest || m.MediaType != oci.MediaTypeImageManifest || m.Size != int64(len(image)) {
		t.Errorf("%s is %+v %s, %v", ref, m.Descriptor, m.Content, err)
	}
}
