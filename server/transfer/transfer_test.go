package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opendev.org/zuul/zuul-registry/server/api"
	"opendev.org/zuul/zuul-registry/server/local"
	"opendev.org/zuul/zuul-registry/server/oci"
	"opendev.org/zuul/zuul-registry/server/storage/memory"
	"opendev.org/zuul/zuul-registry/server/transfer"
)

// registry is one of ours, which everybody may write to, and which fails now and
// then.
type registry struct {
	t *testing.T
	*httptest.Server
	images oci.Registry
	puts   atomic.Int64 // of blobs
	fails  func(call int64, w http.ResponseWriter, r *http.Request) bool
	calls  atomic.Int64
}

func serve(t *testing.T) *registry {
	t.Helper()
	s := &registry{t: t, images: local.New(memory.New(), local.Options{})}
	handler := api.New(s.images, api.Options{
		Name:       func(path, _ string) (oci.Name, error) { return oci.ParseName(path) },
		IsPusher:   func(context.Context, oci.Name) bool { return true },
		Login:      func(context.Context) error { return nil },
		MayPush:    func(context.Context, oci.Name) error { return nil },
		Challenges: func(*http.Request, string) []string { return nil },
		Errors:     api.ErrorWriter{Log: slog.New(slog.DiscardHandler)},
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") {
			s.puts.Add(1)
		}
		if s.fails == nil || !s.fails(s.calls.Add(1), w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(s.Close)
	return s
}

func (s *registry) send(method, path, mediaType string, content []byte) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		s.t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}

// described pushes a blob.
func (s *registry) described(repository string, content []byte) map[string]any {
	digest := oci.SHA256.Sum(content).String()
	s.send(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest, oci.MediaTypeBlob, content)
	return map[string]any{"mediaType": "application/x", "digest": digest, "size": len(content)}
}

// image pushes an image with these layers.
func (s *registry) image(repository, tag string, layers ...[]byte) {
	s.t.Helper()
	all := []any{}
	for _, layer := range layers {
		all = append(all, s.described(repository, layer))
	}
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeImageManifest,
		"config": s.described(repository, []byte("config of "+repository+tag)), "layers": all})
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, oci.MediaTypeImageManifest, text)
}

func (s *registry) ref(name string) transfer.Reference {
	s.t.Helper()
	r, err := transfer.ParseReference(s.URL + "/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// content is a blob of that size.
func content(seed byte, size int) []byte {
	text := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(text)
	return text
}

// copies copies images, and gives what was done of the bytes that were expected.
func copies(t *testing.T, jobs []transfer.Job, done func(transfer.Job, transfer.Report, error)) (moved, expected int64) {
	t.Helper()
	transfer.Copy(t.Context(), jobs, transfer.Options{
		Timeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler), Done: done,
		Progress: func(done, total int64) { moved, expected = done, total },
		Source:   transfer.Side{AuthFiles: []string{"none"}, CertificateDirectories: []string{t.TempDir()}},
	})
	return moved, expected
}

// Many images that share a layer arrive, between registries where one request in
// seven fails in one way or another, and the layer is sent once.
func TestCopyManyAmongFailures(t *testing.T) {
	from, to := serve(t), serve(t)
	shared := content(0, 3_000_000)
	var jobs []transfer.Job
	for n := range byte(8) {
		tag := fmt.Sprint("tag", n)
		from.image("org/app", tag, shared, content(n+1, 300_000))
		jobs = append(jobs, transfer.Job{From: from.ref("org/app:" + tag), To: to.ref(fmt.Sprintf("org/copy%d:%s", n%2, tag))})
	}
	fails := func(call int64, w http.ResponseWriter, r *http.Request) bool {
		switch call % 21 {
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 10:
			panic(http.ErrAbortHandler)
		case 17:
			_, _ = io.CopyN(io.Discard, r.Body, 100_000)
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
	from.fails, to.fails = fails, fails
	sent, bytes := 0, int64(0)
	moved, expected := copies(t, jobs, func(job transfer.Job, report transfer.Report, err error) {
		if err != nil || report.Blobs != 3 {
			t.Errorf("%s: %+v, %v", job, report, err)
		}
		sent += report.Sent
		bytes += report.Bytes
	})
	if sent != 17 || bytes < 3_000_000+8*300_000 || bytes > 3_000_000+8*301_000 || moved != expected {
		t.Errorf("%d blobs were sent, of %d bytes, and %d of %d have moved", sent, bytes, moved, expected)
	}
	for _, job := range jobs {
		name, err := oci.ParseName(job.To.Repository)
		if err != nil {
			t.Fatal(err)
		}
		m, err := to.images.GetManifest(t.Context(), name, job.To.Reference)
		if err != nil {
			t.Fatal(err)
		}
		refs, err := m.References()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range refs.Blobs {
			if _, err := to.images.StatBlob(t.Context(), name, d.Digest); err != nil {
				t.Error(err)
			}
		}
	}
	before := to.puts.Load()
	copies(t, jobs, func(job transfer.Job, report transfer.Report, err error) {
		if err != nil || report.Sent != 0 || report.Bytes != 0 {
			t.Errorf("%s again: %+v, %v", job, report, err)
		}
	})
	if to.puts.Load() != before {
		t.Error("blobs are sent again")
	}
}

// Whoever ends the run ends it at once.
func TestCopyIsCancelled(t *testing.T) {
	from, to := serve(t), serve(t)
	from.image("org/app", "1", content(1, 1000))
	ctx, cancel := context.WithCancel(t.Context())
	to.fails = func(_ int64, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			cancel()
			<-ctx.Done()
		}
		return false
	}
	transfer.Copy(ctx, []transfer.Job{{From: from.ref("org/app:1"), To: to.ref("org/app:1")}}, transfer.Options{
		Timeout: time.Minute, Log: slog.New(slog.DiscardHandler), Progress: func(int64, int64) {},
		Done: func(_ transfer.Job, _ transfer.Report, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		},
	})
}
