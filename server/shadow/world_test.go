package shadow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/namespace"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/shadow"
	"opendev.org/zuul/zuul-registry/server/storage"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/upstream"
)

// world is a registry before an upstream, which is one of ours as well.
type world struct {
	*testing.T
	*shadow.Registry
	store *disk
	kept  *local.Registry // behind the shadow
	there *local.Registry // the upstream's content
	log   *record

	mu     sync.Mutex
	asked  []string                                      // what the upstream was asked, as "GET manifests"
	meddle func(http.ResponseWriter, *http.Request) bool // comes before the upstream's answer; true: instead of it
}

// disk is a store that may be full.
type disk struct {
	storage.Driver
	full error
}

func (d *disk) Put(ctx context.Context, name string, content io.Reader, durability storage.Durability) error {
	if d.full != nil {
		return d.full
	}
	return d.Driver.Put(ctx, name, content, durability)
}

func (d *disk) Append(ctx context.Context, directory string, parts []storage.Part, content io.Reader) ([]storage.Part, storage.Stored, error) {
	if d.full != nil {
		return parts, storage.AlreadyStored, d.full
	}
	return d.Driver.Append(ctx, directory, parts, content)
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

func (r *record) contains(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.text.String(), text)
}

func newWorld(t *testing.T, ttl time.Duration) *world {
	t.Helper()
	store := &disk{Driver: memory.New()}
	w := &world{T: t, store: store, kept: local.New(store, local.Options{}), there: local.New(memory.New(), local.Options{}), log: &record{}}
	quiet := slog.New(slog.DiscardHandler)
	theirs := api.New(w.there, api.Options{
		Name:       func(path, _ string) (oci.Name, error) { return oci.ParseName(path) },
		IsPusher:   nobody,
		Challenges: func(*http.Request, string) []string { return nil },
		Errors:     api.ErrorWriter{Log: quiet},
	})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.note(r)
		if !w.meddles(rw, r) {
			theirs.ServeHTTP(rw, r)
		}
	}))
	log := slog.New(slog.NewTextHandler(w.log, nil))
	ups, err := upstream.Open(upstream.Options{
		URLs: map[string]string{"docker.io": server.URL}, Timeout: 10 * time.Second, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Registry = shadow.New(w.kept, shadow.Options{Upstreams: ups, TagTTL: ttl, Log: log})
	t.Cleanup(func() {
		w.Close()
		server.Close()
	})
	return w
}

func nobody(context.Context, oci.Name) bool { return false }

func (w *world) note(r *http.Request) {
	components := strings.Split(r.URL.Path, "/")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.Method+" "+components[len(components)-2])
}

func (w *world) meddles(rw http.ResponseWriter, r *http.Request) bool {
	w.mu.Lock()
	meddle := w.meddle
	w.mu.Unlock()
	return meddle != nil && meddle(rw, r)
}

// let has meddle come before the upstream's answers from now on; nil for none.
func (w *world) let(meddle func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meddle = meddle
}

// fails has the upstream answer with a status.
func fails(status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		return true
	}
}

// wasAsked asserts what the upstream was asked since the last time.
func (w *world) wasAsked(want ...string) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if fmt.Sprint(w.asked) != fmt.Sprint(want) {
		w.Errorf("the upstream was asked %q, want %q", w.asked, want)
	}
	w.asked = nil
}

// name is a repository of docker.io.
func name(path string) oci.Name {
	n, err := namespace.Auto.Name(path, "")
	if err != nil {
		panic(err)
	}
	return n
}

func tag(s string) oci.Reference {
	ref, err := oci.ParseReference(s)
	if err != nil {
		panic(err)
	}
	return ref
}

// push puts a blob into a registry.
func (w *world) push(r oci.Registry, path, content string) oci.Digest {
	w.Helper()
	u, err := r.StartUpload(w.Context(), name(path))
	if err == nil {
		err = u.Append(w.Context(), 0, strings.NewReader(content))
	}
	d := oci.SHA256.Sum([]byte(content))
	if err == nil {
		_, err = u.Commit(w.Context(), d)
	}
	w.ok(err)
	return d
}

// tagged puts a manifest of these blobs into a registry.
func (w *world) tagged(r oci.Registry, path, tagged string, blobs ...oci.Digest) oci.Manifest {
	w.Helper()
	m := artifact(w.T, tagged, blobs...)
	w.ok(r.PutManifest(w.Context(), name(path), m, tag(tagged).Tag))
	return m
}

func artifact(t *testing.T, note string, blobs ...oci.Digest) oci.Manifest {
	t.Helper()
	var list []string
	for _, b := range blobs {
		list = append(list, `{"mediaType":"x","size":1,"digest":"`+b.String()+`"}`)
	}
	m, err := oci.NewManifest("application/x-artifact", fmt.Appendf(nil, `{"annotations":{"note":%q},"blobs":[%s]}`, note, strings.Join(list, ",")), oci.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// gives asserts which manifest a reference leads to, and whether there is a
// warning.
func (w *world) gives(path string, ref oci.Reference, want oci.Manifest, doubtful bool) {
	w.Helper()
	warned := false
	ctx := oci.OnWarning(w.Context(), func(string) { warned = true })
	got, err := w.GetManifest(ctx, name(path), ref)
	if err != nil || got.Digest != want.Digest || string(got.Content) != string(want.Content) || got.MediaType != want.MediaType {
		w.Errorf("%s:%s is %s %s, %v; want %s", path, ref, got.MediaType, got.Content, err, want.Content)
	}
	if warned != doubtful {
		w.Errorf("%s:%s comes with a warning: %t, want %t", path, ref, warned, doubtful)
	}
}

// reads reads a blob to its end.
func (w *world) reads(ctx context.Context, path string, d oci.Digest) (string, error) {
	b, err := w.OpenBlob(ctx, name(path), d)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(b.Content)
	if err == nil && b.Verify != nil {
		err = b.Verify(ctx)
	}
	if gone := b.Content.Close(); err == nil {
		err = gone
	}
	return string(content), err
}
